//! `server`: the API, its store, and a worker.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::exit::{Exit, Failure};
use super::intake_args::{self, IntakeArgs};
use super::reload::Reload;
use super::store_args::StoreArgs;
use super::telling::Telling;
use super::{GlobalArgs, data_directory, keys, print, signals, source_credentials_in, worker};
use crate::api::{self, Endpoint, Settings};
use crate::config::{Config, ServerConfig};
use crate::credentials::Aws;
use crate::data_directory::DataDirectory;
use crate::docker::Engine;
use crate::intake::Intakes;
use crate::store::Store;
use crate::worker::{Orders, Worker};

/// How long clients may take for headers and bodies.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves CodeBuild's API, and runs the builds that are started through it
///
/// Starts with nothing: no AWS account, no database, no configuration. AWS's command line and SDKs work
/// with it once they are told the endpoint. Without access keys it serves this machine only, and whoever
/// is on it may do everything. SIGTERM lets running builds end; a second one leaves them to the next worker. SIGHUP reads
/// the configuration again, as `worker` does.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// Address to listen on; another one than this machine's needs access keys [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    intake: IntakeArgs,
    /// Only answer requests; workers elsewhere run the builds, and take what comes in through queues and pipelines
    #[arg(long, conflicts_with_all = ["sqs", "sqs_hold", "codepipeline"])]
    no_worker: bool,
    /// Certificate chain in PEM form: the server then speaks HTTPS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Requests a second that each access key may send [default: 500]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_second: Option<u32>,
}

pub(super) async fn run(args: ServerArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let mut config = global.config()?;
    apply(&args, &mut config);
    let data = data_directory(&config)?;
    let store = args.store.open(&data, &config).await?;
    let keys = api::list_keys(store.as_ref()).await;
    let keys = keys.map_err(Failure::fault)?.len();
    let listen = config.server.listen;
    if keys == 0 && !listen.ip().is_loopback() {
        return Err(Failure::usage(anyhow!(
            "without access keys, everybody who reaches {listen} could run what they like here: issue a key with `buildspec-agent keys create --name NAME`, or listen on 127.0.0.1"
        )));
    }
    let tls = tls(&config.server)?;
    let credentials = source_credentials_in(&store, &config, &data);
    let telling = Telling::new(&config, &store, &Aws::new(&config.region), &credentials);
    let (worker, engine) = if args.no_worker {
        (None, None)
    } else {
        let tools = global.tools_for(config.clone(), &store).await?;
        let engine = tools.engine.clone();
        let worker = Worker::new(Arc::clone(&store), tools.clone()).map_err(Failure::fault)?;
        let intakes = intake_args::intakes(&store, &tools, worker.vacancies()).await?;
        (Some((worker, intakes)), Some(engine))
    };
    let endpoint = endpoint(&config, store, &data, engine)?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))
        .map_err(Failure::fault)?;
    let address = listener.local_addr().map_err(Failure::fault)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    print(greeting(&format!("{scheme}://{address}"), keys, &config).as_bytes())?;
    let stop = CancellationToken::new();
    let serving = api::serve(listener, tls, endpoint, &stop);
    let followed = worker.as_ref().map(|(worker, _)| worker);
    let reload = Reload::new(global, config, &telling, followed)?;
    let working = async { tokio::join!(serving, work(worker.as_ref(), &telling, &stop)).1 };
    tokio::select! {
        ended = working => ended.map(|()| Exit::Success),
        never = reload.follow(|config| apply(&args, config)) => match never {},
    }
}

/// Works until a signal asks for the end; requests are answered as long as builds run.
async fn work(
    worker: Option<&(Worker, Intakes)>,
    telling: &Telling,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    // Whatever happens, the server must not wait for ever.
    let _stop = stop.clone().drop_guard();
    if let Some((worker, intakes)) = worker {
        let orders = Orders::default();
        worker::listen(&orders, false, &mut tasks)?;
        worker::work(worker, (telling, intakes), &orders).await;
    } else {
        let ending = [SignalKind::interrupt(), SignalKind::terminate()];
        let ends = signals::stop_token_of(&mut tasks, &ending)?;
        telling.deliver(Uuid::new_v4().to_string(), &ends).await;
    }
    Ok(())
}

fn tls(config: &ServerConfig) -> Result<Option<TlsAcceptor>, Failure> {
    match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => {
            let acceptor = api::acceptor(certificate, key);
            Ok(Some(acceptor.map_err(Failure::usage)?))
        }
        (None, None) => Ok(None),
        _ => Err(Failure::usage(anyhow!(
            "a certificate and its key go together: tls_certificate and tls_key"
        ))),
    }
}

fn endpoint(
    config: &Config,
    store: Arc<dyn Store>,
    data: &DataDirectory,
    engine: Option<Engine>,
) -> Result<Endpoint, Failure> {
    let vault = keys::open_vault(config, data)?;
    let endpoint = Endpoint::new(settings(config), store, vault, data, engine);
    endpoint.map_err(Failure::fault)
}

/// What the operations have to know of the configuration.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        region: config.region.clone(),
        account: config.account.clone(),
        requests_per_second: config.server.requests_per_second,
        is_local: config.server.listen.ip().is_loopback(),
        allows_privileged_mode: config.docker_access(true, false).is_ok(),
        logs_to_aws: config.server.cloudwatch_logs,
        patience: PATIENCE,
    }
}

/// Flags win over the file.
fn apply(args: &ServerArgs, config: &mut Config) {
    args.intake.apply(config);
    let server = &mut config.server;
    server.listen = args.listen.unwrap_or(server.listen);
    if args.tls_certificate.is_some() {
        server.tls_certificate.clone_from(&args.tls_certificate);
        server.tls_key.clone_from(&args.tls_key);
    }
    server.requests_per_second = args
        .requests_per_second
        .unwrap_or(server.requests_per_second);
}

/// What is said at the start: where it is, and how it is used.
fn greeting(url: &str, keys: usize, config: &Config) -> String {
    let mut text = format!("serving CodeBuild's API at {url}\n");
    let _ = match keys {
        0 => writeln!(
            text,
            "no access keys: whoever is on this machine may do everything; the keys that clients send are not looked at"
        ),
        1 => writeln!(text, "1 access key"),
        _ => writeln!(text, "{keys} access keys"),
    };
    let _ = write!(
        text,
        "
    export AWS_ENDPOINT_URL_CODEBUILD={url} AWS_ENDPOINT_URL_CLOUDWATCH_LOGS={url} AWS_DEFAULT_REGION={region}
    aws codebuild list-projects
    aws logs tail --follow /aws/codebuild/PROJECT

",
        region = config.region
    );
    text
}
