//! Images made for one test.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine;

/// An image that goes with this value.
#[derive(Debug)]
pub struct Image(String);

impl Image {
    /// The test image with changes, each an instruction of a Dockerfile such as `ENV A=1`.
    pub fn derived(changes: &[&str]) -> Self {
        Self::made(&engine::test_image(), changes, None)
    }

    /// The test image with one more file, at an absolute path.
    pub fn with_file(path: &str, content: &str) -> Self {
        Self::with_file_on(&engine::test_image(), path, content)
    }

    /// Another image with one more file.
    pub fn with_file_on(base: &str, path: &str, content: &str) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let file = root.path().join(path.trim_start_matches('/'));
        let directory = file.parent().expect("an absolute path has a parent");
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&file, content))
            .expect("the file can be written");
        Self::made(base, &[], Some(root.path()))
    }

    /// An image with changes and what is in a directory over its own files.
    fn made(base: &str, changes: &[&str], files: Option<&Path>) -> Self {
        let container = engine::docker(&["create", base, "true"]);
        let container = container.trim().to_owned();
        if let Some(files) = files {
            let (from, to) = (format!("{}/.", files.display()), format!("{container}:/"));
            engine::docker(&["cp", &from, &to]);
        }
        let image = Self(unique_name());
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        let arguments = ["commit"].into_iter().chain(changes);
        engine::docker(
            &arguments
                .chain([container.as_str(), &image.0])
                .collect::<Vec<_>>(),
        );
        engine::remove(&[container]);
        image
    }

    /// An image without a single file.
    pub fn empty() -> Self {
        let image = Self(unique_name());
        let mut import = Command::new("docker")
            .args(["import", "-", &image.0])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker is on PATH: run `make setup`");
        let mut archive = import.stdin.take().expect("standard input is a pipe");
        // Two blocks of zeros are the end of a tar archive; this one ends where it begins.
        archive
            .write_all(&[0; 1024])
            .expect("docker reads the archive");
        drop(archive);
        let status = import.wait().expect("a child can be waited for");
        assert!(
            status.success(),
            "docker imports an empty archive: {status}"
        );
        image
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        engine::remove_image(&self.0);
    }
}

/// Tests run at the same time, also those of two processes.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("buildspec-agent-test/image:{}-{number}", std::process::id())
}
