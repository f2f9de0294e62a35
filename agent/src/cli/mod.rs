//! The command line: one file a subcommand, each with its arguments, its `run` and its printing.

mod attach;
mod build_args;
mod builds;
mod completions;
mod debugging;
mod diagnostics;
mod doctor;
mod exit;
mod gc;
mod images;
mod intake_args;
mod keys;
mod lint;
mod logging;
mod logs;
mod man;
mod mask_check;
mod place;
mod plan;
mod recover;
mod reload;
mod resume;
mod retry;
mod run;
mod server;
mod signals;
mod source_argument;
mod stop;
mod store_args;
mod submit;
mod telling;
mod terminal;
mod timings;
mod worker;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use nix::unistd::geteuid;

use crate::api::ImportedCredentials;
use crate::build::Tools;
use crate::cache::LocalCache;
use crate::config::{self, Config, ConfigError};
use crate::credentials::Aws;
use crate::data_directory::DataDirectory;
use crate::docker::Engine;
use crate::images::EcrLogins;
use crate::source::stored::{ConfiguredCredentials, SourceCredentials};
use crate::store::Store;
use exit::{Exit, Failure};

/// Runs AWS CodeBuild's buildspecs in Docker, on your own machines
#[derive(Debug, Parser)]
#[command(name = "buildspec-agent", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand understands.
#[derive(Debug, Args)]
struct GlobalArgs {
    /// Configuration file [default: /etc/buildspec-agent/config.toml, if it exists]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "BUILDSPEC_AGENT_CONFIG"
    )]
    config: Option<PathBuf>,
    /// Directory for everything the agent keeps
    #[arg(long, global = true, value_name = "DIR")]
    data_directory: Option<PathBuf>,
    /// Form of the agent's own messages on standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    Lint(lint::LintArgs),
    Plan(Box<plan::PlanArgs>),
    MaskCheck(mask_check::MaskCheckArgs),
    Worker(worker::WorkerArgs),
    Submit(Box<submit::SubmitArgs>),
    Builds(builds::BuildsArgs),
    Logs(logs::LogsArgs),
    Stop(stop::StopArgs),
    Retry(retry::RetryArgs),
    Attach(attach::AttachArgs),
    Resume(resume::ResumeArgs),
    Server(Box<server::ServerArgs>),
    Keys(keys::KeysArgs),
    Recover(recover::RecoverArgs),
    Doctor(Box<doctor::DoctorArgs>),
    Images(images::ImagesArgs),
    Gc(gc::GcArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs a parsed command line and gives the program's exit code.
pub async fn run(cli: Cli) -> ExitCode {
    logging::start(cli.global.log_format);
    let ended = match cli.command {
        Command::Run(args) => Box::pin(run::run(*args, &cli.global)).await,
        Command::Lint(args) => lint::run(&args),
        Command::Plan(args) => plan::run(&args, &cli.global),
        Command::MaskCheck(args) => mask_check::run(&args),
        Command::Worker(args) => Box::pin(worker::run(args, &cli.global)).await,
        Command::Submit(args) => Box::pin(submit::run(*args, &cli.global)).await,
        Command::Builds(args) => Box::pin(builds::run(args, &cli.global)).await,
        Command::Logs(args) => Box::pin(logs::run(args, &cli.global)).await,
        Command::Retry(args) => Box::pin(retry::run(args, &cli.global)).await,
        Command::Stop(args) => Box::pin(stop::run(args, &cli.global)).await,
        Command::Attach(args) => Box::pin(attach::run(args, &cli.global)).await,
        Command::Resume(args) => Box::pin(resume::run(args, &cli.global)).await,
        Command::Server(args) => Box::pin(server::run(*args, &cli.global)).await,
        Command::Keys(args) => Box::pin(keys::run(args, &cli.global)).await,
        Command::Recover(args) => Box::pin(recover::run(args, &cli.global)).await,
        Command::Doctor(args) => Box::pin(doctor::run(*args, &cli.global)).await,
        Command::Images(args) => Box::pin(images::run(args, &cli.global)).await,
        Command::Gc(args) => Box::pin(gc::run(args, &cli.global)).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(args),
    };
    ended.unwrap_or_else(|failure| failure.report()).into()
}

impl GlobalArgs {
    /// The configuration: file, variables, flags.
    fn config(&self) -> Result<Config, Failure> {
        let config = self.read_config().map_err(Failure::usage)?;
        logging::follow(&config);
        Ok(config)
    }

    fn read_config(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(
            self.config.as_deref(),
            &config::process_environment,
            geteuid().is_root(),
        )?;
        if let Some(directory) = &self.data_directory {
            config.data_directory.clone_from(directory);
        }
        Ok(config)
    }

    /// The tools the configuration asks for, with which the builds of a store are run: their sources are
    /// opened with the credentials in it as well.
    async fn tools_for(&self, config: Config, store: &Arc<dyn Store>) -> Result<Tools, Failure> {
        let mut tools = self.tools(config).await?;
        tools.source_credentials = source_credentials_in(store, &tools.config, &tools.data);
        Ok(tools)
    }

    /// The tools the configuration asks for.
    async fn tools(&self, config: Config) -> Result<Tools, Failure> {
        let data = data_directory(&config)?;
        let engine = Engine::connect(&config.docker_host)
            .await
            .map_err(Failure::fault)?;
        Ok(Tools {
            source_credentials: source_credentials(&config),
            aws: Aws::new(&config.region),
            cache: LocalCache::new(data.root(), config.cache.limit_bytes()),
            config,
            engine,
            data,
            ecr: EcrLogins::default(),
            secrets: None,
        })
    }
}

/// What opens the repositories of git hosts for those who work on a store: what was imported into it
/// comes before what the configuration names.
fn source_credentials_in(
    store: &Arc<dyn Store>,
    config: &Config,
    data: &DataDirectory,
) -> Arc<dyn SourceCredentials> {
    Arc::new(ImportedCredentials::new(
        Arc::clone(store),
        keys::vault_key(config, data),
        source_credentials(config),
    ))
}

/// What opens the repositories of git hosts.
fn source_credentials(config: &Config) -> Arc<dyn SourceCredentials> {
    let entries = config.sources.credentials.clone();
    Arc::new(ConfiguredCredentials::new(
        entries,
        config::process_environment,
    ))
}

/// The data directory that the configuration names.
fn data_directory(config: &Config) -> Result<DataDirectory, Failure> {
    DataDirectory::open(&config.data_directory)
        .context("the data directory cannot be used")
        .map_err(Failure::fault)
}

/// Writes to standard output; a reader that went away is no failure.
fn print(output: &[u8]) -> Result<Exit, Failure> {
    use io::Write;
    match io::stdout().lock().write_all(output) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::fault(error)),
        _ => Ok(Exit::Success),
    }
}
