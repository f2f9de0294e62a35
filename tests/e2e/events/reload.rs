//! SIGHUP: a running worker follows its configuration.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;
use tests::receiver::Receiver;
use tests::stores::Engine;
use tests::until;

use super::{Site, buildspec, submit, tells_the_end, webhook};

#[tokio::test(flavor = "multi_thread")]
async fn a_running_worker_follows_its_configuration() {
    let (first, second) = (Receiver::start(), Receiver::start());
    let site = Site::new(Engine::Sqlite, &webhook("ops", &first.url())).await;
    let file = site.project.root().join("config.toml");
    let write = |config: &str| fs::write(&file, config).expect("the file is ours");
    let closed = "[worker]\nlease_secs = 3\nconcurrent_builds = 0\n";
    write(&(webhook("ops", &first.url()) + closed));
    let worker = site.start();
    let spec = json!({"buildspecOverride": buildspec("true")});
    let id = submit(&site, &spec).await;
    // It takes builds now, and tells somebody else.
    let open = "[worker]\nlease_secs = 3\nprocessors = 100\nmemory_mib = 1000000\n";
    write(&(webhook("ops", &second.url()) + open));
    until("the worker is known", async || {
        !site.test.store.agents().await.unwrap().is_empty()
    })
    .await;
    assert_eq!(site.test.build(&id).await.status, "IN_PROGRESS");
    worker.signal(Signal::SIGHUP);
    assert_eq!(site.test.ended(&id).await.status, "SUCCEEDED");
    // The test's own store tells nobody: what is told is the worker's doing.
    second.wait_until(tells_the_end);
    assert!(first.received().is_empty());
    // What is wrong changes nothing.
    write("[worker]\nlease_secs = 3\nslots = 5\n");
    worker.signal(Signal::SIGHUP);
    let again = submit(&site, &spec).await;
    assert_eq!(site.test.ended(&again).await.status, "SUCCEEDED");
    let other = format!("region = 'eu-west-1'\n{open}");
    write(&other);
    worker.signal(Signal::SIGHUP);
    let last = submit(&site, &spec).await;
    assert_eq!(site.test.ended(&last).await.status, "SUCCEEDED");
    worker.signal(Signal::SIGTERM);
    let finished = worker.finish();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    for told in [
        "the configuration was read again\n",
        "config.toml, line 3, column 1: unknown field `slots`",
        "the configuration was read again; a restart is needed for: region\n",
    ] {
        assert!(
            finished.stderr.contains(told),
            "{told}: {}",
            finished.stderr
        );
    }
}
