//! `doctor`: whether this machine can run builds, and what they need of AWS.

use std::fmt::Write;
use std::path::Path;

use clap::Args;
use nix::sys::statvfs::statvfs;

use super::build_args::BuildArgs;
use super::exit::{Exit, Failure};
use super::{GlobalArgs, print};
use crate::build::permissions::{self, Permission, Principal};
use crate::build::{Tools, preview, probe_data_directory};
use crate::credentials::{Aws, Role, describe};
use crate::data_directory::DataDirectory;
use crate::docker::Engine;
use crate::events;
use crate::intake;
use crate::model::BuildRequest;

/// Free space below which builds are likely to fail, in bytes.
const LITTLE_SPACE_BYTES: u64 = 5 << 30;

/// Checks what builds need: Docker, disk, and AWS as far as the build named would use it
///
/// Takes the options of `run` and names the permissions in AWS that such a build uses. Nobody at AWS is asked
/// unless there are any. Ends with 3 if something is missing.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    build: BuildArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A thing that was looked at.
struct Check {
    what: &'static str,
    /// What is well, or what is not.
    found: Result<String, String>,
}

pub(super) async fn run(args: DoctorArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let request = args.build.request(&config, None);
    let request = request.map_err(Failure::usage)?;
    // Without the source, what its buildspec needs is not known.
    let buildspec = preview::buildspec(&request).ok();
    let mut permissions = permissions::of(&request, buildspec.as_ref());
    permissions.extend(events::permissions(&config));
    permissions.extend(intake::permissions(&config));
    let mut checks = vec![
        Check {
            what: "data directory",
            found: data_directory(&config.data_directory),
        },
        Check {
            what: "Docker",
            found: docker(&config.docker_host).await,
        },
    ];
    if checks.iter().all(|check| check.found.is_ok()) {
        checks.push(Check {
            what: "data directory in containers",
            found: in_containers(&global.tools(config).await?).await,
        });
    }
    if !permissions.is_empty() {
        checks.extend(aws(&request).await);
    }
    let is_well = checks.iter().all(|check| check.found.is_ok());
    let text = if args.json {
        json(&checks, &permissions)
    } else {
        text(&checks, &permissions)
    };
    print(text.as_bytes())?;
    Ok(if is_well {
        Exit::Success
    } else {
        Exit::Environment
    })
}

fn data_directory(path: &Path) -> Result<String, String> {
    let cannot = |error: &dyn std::error::Error| format!("{}: {error}", path.display());
    DataDirectory::open(path).map_err(|error| cannot(&error))?;
    let space = statvfs(path).map_err(|error| cannot(&error))?;
    let free = space
        .blocks_available()
        .saturating_mul(space.fragment_size());
    let told = format!("{}, {} GiB free", path.display(), free >> 30);
    if free < LITTLE_SPACE_BYTES {
        return Err(format!("{told}: less than 5 GiB"));
    }
    Ok(told)
}

async fn docker(address: &str) -> Result<String, String> {
    match Engine::connect(address).await {
        Ok(_) => Ok(format!("an engine answers at {address}")),
        Err(error) => {
            let remedy = error.remedy().unwrap_or_default();
            Err(format!("{:#}; {remedy}", anyhow::Error::from(error)))
        }
    }
}

async fn in_containers(tools: &Tools) -> Result<String, String> {
    match probe_data_directory(tools).await {
        Ok(true) => Ok("where this program has it".to_owned()),
        Ok(false) => Ok(format!(
            "not looked at: the engine lacks {}",
            tools.config.image
        )),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Who the agent is, and whether it can be who builds are.
async fn aws(request: &BuildRequest) -> Vec<Check> {
    let aws = Aws::new(&request.region);
    let asked = aws.agent().sts().await.get_caller_identity().send().await;
    let identity = match asked {
        Ok(answer) => Ok(answer.arn().unwrap_or_default().to_owned()),
        Err(error) => Err(describe(&error)),
    };
    let mut checks = vec![Check {
        what: "AWS identity",
        found: identity,
    }];
    if let Some(role) = &request.service_role {
        let session = aws.session(Some(Role::of_build(role, &request.id)));
        let assumed = session.temporary_credentials().await;
        checks.push(Check {
            what: "service role",
            found: assumed
                .map(|_| role.clone())
                .map_err(|error| error.to_string()),
        });
    }
    checks
}

fn text(checks: &[Check], permissions: &[Permission]) -> String {
    let mut text = String::new();
    for Check { what, found } in checks {
        let (mark, words) = match found {
            Ok(words) => ("ok", words),
            Err(words) => ("missing", words),
        };
        // Text can always grow.
        let _ = writeln!(text, "{mark:8} {what}: {words}");
    }
    if permissions.is_empty() {
        text.push_str("\nSuch a build asks AWS for nothing.\n");
        return text;
    }
    text.push_str("\nPermissions in AWS that such a build uses:\n");
    for permission in permissions {
        let Permission {
            principal,
            action,
            resource,
            reason,
        } = permission;
        let principal = match principal {
            Principal::Agent => "agent",
            Principal::ServiceRole => "service role",
        };
        let _ = writeln!(text, "  {principal:12} {action} on {resource} ({reason})");
    }
    text
}

fn json(checks: &[Check], permissions: &[Permission]) -> String {
    let checks: Vec<_> = checks
        .iter()
        .map(|Check { what, found }| match found {
            Ok(words) => serde_json::json!({"check": what, "ok": true, "message": words}),
            Err(words) => serde_json::json!({"check": what, "ok": false, "message": words}),
        })
        .collect();
    let all = serde_json::json!({"checks": checks, "permissions": permissions});
    format!("{all}\n")
}
