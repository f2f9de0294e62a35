//! The program under test.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Path of the `buildspec-agent` program, compiled in the profile of this process.
///
/// Cargo is asked once per process, so that a test never runs a program older than its source.
pub fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = profile_directory().join("buildspec-agent");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .args([
                "build",
                "--quiet",
                "--locked",
                "--workspace",
                "--bin",
                "buildspec-agent",
            ]);
        if path
            .parent()
            .is_some_and(|directory| directory.ends_with("release"))
        {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo starts");
        assert!(status.success(), "cargo builds buildspec-agent: {status}");
        path
    })
}

/// Where cargo puts the programs of the profile in which this process was compiled: tests lie in
/// `deps` below it, programs in it.
pub(crate) fn profile_directory() -> PathBuf {
    let mut directory = env::current_exe().expect("a process knows its program");
    directory.pop();
    if directory.ends_with("deps") {
        directory.pop();
    }
    directory
}
