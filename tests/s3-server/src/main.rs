//! An S3 server for tests: checks signatures and checksums, keeps objects as files.
//!
//! Usage: `s3-server ROOT ACCESS_KEY_ID SECRET_KEY`. Every directory of ROOT is a bucket. Listens on a free port of
//! the loopback interface, prints `host:port`, and ends with its standard input.

use std::error::Error;
use std::net::Ipv4Addr;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, access_key_id, secret_key] = arguments.as_slice() else {
        return Err("usage: s3-server ROOT ACCESS_KEY_ID SECRET_KEY".into());
    };
    let files = FileSystem::new(root).map_err(|error| format!("{root}: {error:?}"))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(
        access_key_id.as_str(),
        secret_key.as_str(),
    ));
    let service = service.build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    let serve = async {
        loop {
            let Ok((client, _)) = listener.accept().await else {
                continue;
            };
            let service = service.clone();
            connections.spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                // A client that goes away is its own affair.
                drop(server.serve_connection(TokioIo::new(client), service).await);
            });
            while connections.try_join_next().is_some() {}
        }
    };
    let mut input = Vec::new();
    let mut stdin = tokio::io::stdin();
    tokio::select! {
        () = serve => {}
        _ = stdin.read_to_end(&mut input) => {}
    }
    Ok(())
}
