//! What a build reaches over the network, and what it does not.

use tests::Project;
use tests::engine::{docker, remove, test_image};

/// A container on the engine's default network, removed when it is dropped.
struct Neighbour(String);

impl Neighbour {
    fn start() -> Self {
        let image = test_image();
        let id = docker(&["run", "--detach", "--rm", &image, "sleep", "600"]);
        Self(id.trim().to_owned())
    }

    fn address(&self) -> String {
        let format = "{{.NetworkSettings.IPAddress}}";
        docker(&["inspect", "--format", format, &self.0])
            .trim()
            .to_owned()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        remove(std::slice::from_ref(&self.0));
    }
}

#[test]
fn neighbours_and_instance_metadata_are_out_of_reach() {
    let neighbour = Neighbour::start();
    let project = Project::new(&format!(
        "version: 0.2
env:
  shell: bash
phases:
  build:
    commands:
      - |
        for address in {}/1 169.254.169.254/80; do
          (echo > /dev/tcp/$address) 2>&1 | tail -n 1 | sed 's/.*: //'
        done > errors
      - cat errors
",
        neighbour.address()
    ));
    let finished = project.run(&[]);
    // A neighbour that is reached refuses the connection.
    let errors = finished.output();
    let errors = &errors[errors.len().saturating_sub(2)..];
    assert_eq!(
        errors,
        ["No route to host", "No route to host"],
        "{}",
        finished.log()
    );
}
