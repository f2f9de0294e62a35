//! The server: connections in, requests to the endpoint, until it is told to stop.
//!
//! Whoever connects is hostile until its signature says otherwise: connections are counted, and a
//! client that takes its time with the handshake, the headers or the body is cut off.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Endpoint;

/// Connections at a time; more wait outside.
const CONNECTIONS: usize = 1024;

/// Bytes of headers at most.
const HEADER_BYTES: usize = 64 * 1024;

/// How long requests under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long to wait after the system could not give a connection, such as for lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled; requests under way are then answered.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    endpoint: Endpoint,
    stop: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Some(Ok(place)) = stop
        .run_until_cancelled(Arc::clone(&places).acquire_owned())
        .await
    {
        let accepted = stop.run_until_cancelled(listener.accept()).await;
        match accepted {
            Some(Ok((stream, from))) => {
                let (endpoint, tls, stop) = (endpoint.clone(), tls.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, from, tls, &endpoint, &stop).await;
                    drop(place);
                });
            }
            Some(Err(error)) => {
                tracing::warn!("cannot accept a connection: {error}");
                stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            }
            None => break,
        }
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
    }
    // Whoever connects now is not kept waiting for nothing.
    drop(listener);
    let drained = timeout(DRAIN, async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!("{} requests were cut off", connections.len());
    }
}

/// A panic of one connection ends that connection only, and is told.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a connection's task failed: {error}");
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    endpoint: &Endpoint,
    stop: &CancellationToken,
) {
    // Answers are written at once.
    let _ = stream.set_nodelay(true);
    match tls {
        None => requests(stream, from, endpoint, stop).await,
        Some(tls) => match timeout(endpoint.patience(), tls.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, from, endpoint, stop).await,
            Ok(Err(error)) => tracing::debug!("no TLS with {from}: {error}"),
            Err(_) => tracing::debug!("no TLS with {from} in time"),
        },
    }
}

async fn requests<S>(stream: S, from: SocketAddr, endpoint: &Endpoint, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // At most one: with the answer that announces it, HTTP ends on this connection.
    let (sessions, mut handed_over) = mpsc::channel(1);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let sessions = sessions.clone();
        async move {
            let (response, session) = endpoint.respond(request.map(Body::new), from).await;
            if let Some(session) = session {
                // Fails only if there is one already, which HTTP does not allow; this one is hung up.
                let _ = sessions.try_send(session);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who has said all it has to say still wants its answer.
        .half_close(true)
        .header_read_timeout(endpoint.patience())
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("the connection with {from} ended: {error}");
    }
    if let Ok(session) = handed_over.try_recv() {
        session.run(stop).await;
    }
}
