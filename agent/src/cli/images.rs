//! `images`: the build images that come with the program.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use super::exit::{Exit, Failure, tell};
use super::run::run as run_build;
use super::{Cli, GlobalArgs, print};
use crate::build::Tools;
use crate::docker::StoredImage;
use crate::images::{Catalog, files};

/// Builds, lists and tests the build images that come with this program
#[derive(Debug, Args)]
pub(super) struct ImagesArgs {
    #[command(subcommand)]
    command: ImagesCommand,
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    /// List our images, and what runs here for CodeBuild's curated ones
    List {
        /// Print one JSON object for each image
        #[arg(long)]
        json: bool,
    },
    /// Build images from Debian's packages, on Debian's image or, where no registry can be reached, on one
    /// made from packages too
    Build {
        /// Build anew, with today's packages, what is there already
        #[arg(long)]
        force: bool,
        /// Names of the images [default: all]
        #[arg(value_parser = files::NAMES)]
        names: Vec<String>,
    },
    /// Run the smoke test of images: a build that uses what the image is for
    Test {
        /// Names of the images [default: those that are built]
        #[arg(value_parser = files::NAMES)]
        names: Vec<String>,
    },
}

pub(super) async fn run(args: ImagesArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let tools = global.tools(global.config()?).await?;
    match args.command {
        ImagesCommand::List { json } => list(&tools, json).await,
        ImagesCommand::Build { force, names } => build(&tools, force, names).await,
        ImagesCommand::Test { names } => Box::pin(test(&tools, global, names)).await,
    }
}

async fn list(tools: &Tools, json: bool) -> Result<Exit, Failure> {
    let mut output = String::new();
    for name in files::NAMES {
        let image = files::image(name);
        let stored = stored(tools, &image).await?;
        if json {
            let line = serde_json::json!({
                "image": image,
                "sizeBytes": stored.as_ref().map(|stored| stored.size_bytes),
                "created": stored.as_ref().and_then(|stored| stored.created.clone()),
            });
            let _ = writeln!(output, "{line}");
        } else {
            let size = stored.map_or_else(
                || "not built".to_owned(),
                |stored| format!("{} MB", stored.size_bytes / 1_000_000),
            );
            let _ = writeln!(output, "{image:<48} {size}");
        }
    }
    let catalog = Catalog::new(tools.config.image_aliases.clone());
    for (image, candidates) in catalog.curated() {
        let mut here = None;
        for candidate in &candidates {
            if here.is_none() && stored(tools, candidate).await?.is_some() {
                here = Some(candidate);
            }
        }
        if json {
            let line = serde_json::json!({"image": image, "run": candidates, "here": here});
            let _ = writeln!(output, "{line}");
        } else {
            let runs = here.map_or_else(
                || format!("to be pulled: {}", candidates.join(", or ")),
                |here| format!("runs as {here}"),
            );
            let _ = writeln!(output, "{image:<48} {runs}");
        }
    }
    print(output.as_bytes())
}

async fn stored(tools: &Tools, image: &str) -> Result<Option<StoredImage>, Failure> {
    tools
        .engine
        .stored_image(image)
        .await
        .map_err(Failure::fault)
}

async fn build(tools: &Tools, force: bool, names: Vec<String>) -> Result<Exit, Failure> {
    let directory = unpacked(tools).map_err(Failure::fault)?;
    let mut script = Command::new("bash");
    script
        .arg(directory.join("build.sh"))
        .args(force.then_some("--force"))
        .env("DOCKER_HOST", &tools.config.docker_host);
    if names.is_empty() {
        script.args(files::NAMES);
    } else {
        script.args(names);
    }
    let ran = tokio::task::spawn_blocking(move || script.status());
    let status = ran
        .await
        .map_err(Failure::fault)?
        .context("cannot start bash, which builds the images with Docker's command line")
        .map_err(Failure::fault)?;
    if status.success() {
        Ok(Exit::Success)
    } else {
        Err(Failure::fault(anyhow::anyhow!(
            "the images were not built: {status}"
        )))
    }
}

async fn test(tools: &Tools, global: &GlobalArgs, names: Vec<String>) -> Result<Exit, Failure> {
    let directory = unpacked(tools).map_err(Failure::fault)?;
    let mut chosen = names;
    if chosen.is_empty() {
        for name in files::NAMES {
            if stored(tools, &files::image(name)).await?.is_some() {
                chosen.push(name.to_owned());
            }
        }
    }
    let mut failed = None;
    for name in chosen {
        let exit = Box::pin(smoke_test(tools, global, &directory, &name)).await?;
        if exit != Exit::Success {
            tell(format_args!(
                "error: the smoke test of {name} did not succeed"
            ));
            failed.get_or_insert(exit);
        }
    }
    Ok(failed.unwrap_or(Exit::Success))
}

/// Runs one as `run` would: the image is tested in the way in which it is used.
async fn smoke_test(
    tools: &Tools,
    global: &GlobalArgs,
    directory: &Path,
    name: &str,
) -> Result<Exit, Failure> {
    let source = directory.join(name).join("smoke");
    let (image, project) = (files::image(name), format!("image-{name}"));
    let mut arguments = vec!["buildspec-agent", "run"];
    if name == "docker" && tools.config.docker_access(true, false).is_ok() {
        arguments.push("--privileged");
    }
    arguments.extend(["--image", &image, "--project", &project, "--"]);
    let source = source.to_string_lossy();
    arguments.push(&source);
    let parsed = Cli::try_parse_from(arguments).map_err(Failure::usage)?;
    match parsed.command {
        super::Command::Run(args) => Box::pin(run_build(*args, global)).await,
        _ => unreachable!("`run` stands in the arguments"),
    }
}

/// Writes what the images are built from into the data directory.
fn unpacked(tools: &Tools) -> anyhow::Result<PathBuf> {
    let directory = tools.data.root().join("runtime-images");
    files::write_to(&directory).with_context(|| {
        format!(
            "cannot write the images' files into {}",
            directory.display()
        )
    })?;
    Ok(directory)
}
