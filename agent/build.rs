//! Builds the executor static and hands its bytes to the agent, so that `cargo build` alone gives
//! one self-contained program.
//!
//! The executor is compiled by a cargo of its own, with its own flags and target directory: it is
//! another program for another place, the inside of a container of any distribution.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    if let Err(message) = embed() {
        panic!("cannot build the executor: {message}");
    }
}

fn embed() -> Result<(), String> {
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("..");
    for input in ["Cargo.toml", "Cargo.lock", "executor"] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    let program = build(&workspace)?;
    let bytes = fs::read(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    let copy = Path::new(&variable("OUT_DIR")?).join("executor");
    fs::write(&copy, &bytes).map_err(|error| format!("{}: {error}", copy.display()))?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    println!("cargo::rustc-env=EXECUTOR_HASH={:016x}", hasher.finish());
    Ok(())
}

/// Runs cargo and gives the path of the executor's program.
fn build(workspace: &Path) -> Result<PathBuf, String> {
    let target = variable("TARGET")?;
    let target_directory = target_directory()?;
    // What cargo and clippy set for the outer build would change the inner one.
    let inherited = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_")
            && !matches!(
                &*name,
                "CARGO_HOME" | "CARGO_NET_OFFLINE" | "CARGO_HTTP_CAINFO"
            )
            || name.starts_with("RUSTC")
            || matches!(
                &*name,
                "RUSTFLAGS" | "RUSTDOCFLAGS" | "TARGET" | "HOST" | "PROFILE" | "OUT_DIR"
            )
    };
    let mut cargo = Command::new(variable("CARGO")?);
    for (name, _) in env::vars_os().filter(|(name, _)| inherited(name)) {
        cargo.env_remove(name);
    }
    let status = cargo
        .current_dir(workspace)
        // Not RUSTFLAGS: these must not reach procedural macros, which `--target` sees to.
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .args([
            "build",
            "--package",
            "executor",
            "--bin",
            "executor",
            "--profile",
            "executor",
        ])
        .args(["--target", &target, "--target-dir"])
        .arg(&target_directory)
        .status()
        .map_err(|error| format!("cargo did not start: {error}"))?;
    if !status.success() {
        return Err(format!("cargo: {status}"));
    }
    Ok(target_directory.join(target).join("executor/executor"))
}

/// A directory beside the profiles of the outer build, which all of them share.
fn target_directory() -> Result<PathBuf, String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    // <target>/<profile>/build/<package>/out
    let target = out
        .ancestors()
        .nth(4)
        .ok_or_else(|| format!("unexpected OUT_DIR {}", out.display()))?;
    Ok(target.join("executor-static"))
}

fn variable(name: &str) -> Result<String, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo speaks to build scripts through variables"
    )]
    env::var(name).map_err(|error| format!("{name}: {error}"))
}
