//! Destinations that want to be left alone, or are away for too long.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::receiver::Receiver;
use tests::stores::Engine;

use super::{STATES, Site, subjects, tells_the_end, webhook};

/// The messages that are due, without a claim that lasts.
async fn due(site: &Site) -> usize {
    let claimed = site
        .test
        .store
        .claim_messages("ops", "me", 10, Duration::ZERO);
    claimed.await.expect("the store answers").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_worker_tells_others_too() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let receiver = Receiver::start();
        let config = webhook("ops", &receiver.url()) + STATES;
        let site = Site::new(engine, &config).await;
        let server = site.serve();
        site.submit_and_stop();
        let heard = receiver.wait_until(tells_the_end);
        assert_eq!(subjects(&heard), ["IN_PROGRESS", "STOPPED"]);
        server.signal(Signal::SIGTERM);
        let finished = server.finish();
        assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
        assert_eq!(due(&site).await, 0, "it has written down that they arrived");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_left_alone_for_as_long_as_it_asks() {
    let receiver = Receiver::start();
    receiver.refuse(Some("503 Service Unavailable\r\nretry-after: 280"));
    let config = webhook("ops", &receiver.url()) + STATES;
    let site = Site::new(Engine::Sqlite, &config).await;
    let server = site.serve();
    site.submit_and_stop();
    receiver.wait_until(|heard| !heard.is_empty());
    // It writes down what it was answered before it ends.
    server.signal(Signal::SIGTERM);
    server.finish();
    assert_eq!(due(&site).await, 0);
    // By itself it would try again after a second.
    site.test.step(Duration::from_secs(100)).await;
    assert_eq!(due(&site).await, 0);
    site.test.step(Duration::from_mins(3)).await;
    assert_eq!(due(&site).await, 1);
    receiver.refuse(None);
    let server = site.serve();
    let heard = receiver.wait_until(tells_the_end);
    assert_eq!(subjects(&heard), ["IN_PROGRESS", "IN_PROGRESS", "STOPPED"]);
    server.signal(Signal::SIGTERM);
    server.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_arrive_in_its_time_is_given_up_and_said() {
    let receiver = Receiver::start();
    receiver.refuse(Some("500 Internal Server Error"));
    let config = webhook("ops", &receiver.url()) + STATES + "give_up_hours = 1\n";
    let site = Site::new(Engine::Sqlite, &config).await;
    let server = site.serve();
    site.submit_and_stop();
    receiver.wait_until(|heard| !heard.is_empty());
    server.signal(Signal::SIGTERM);
    server.finish();
    site.test.step(Duration::from_hours(1)).await;
    let server = site.serve();
    tests::until("they are given up", async || {
        // Whatever is left is due by then.
        site.test.step(Duration::from_mins(5)).await;
        due(&site).await == 0
    })
    .await;
    // Whatever is new finds its way as if nothing had been.
    receiver.refuse(None);
    site.submit_and_stop();
    let heard = receiver.wait_until(tells_the_end);
    server.signal(Signal::SIGTERM);
    let told = server.finish().stderr;
    assert_eq!(
        subjects(&heard)[heard.len() - 2..],
        ["IN_PROGRESS", "STOPPED"]
    );
    let given_up: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("is given up"))
        .collect();
    assert_eq!(given_up.len(), 2, "{told}");
    assert!(given_up[0].contains("to ops is given up after"), "{told}");
    assert!(given_up[0].contains("status 500"), "{told}");
    assert!(given_up[1].contains("after 0 attempts"), "{told}");
    assert!(given_up[1].contains("an earlier message"), "{told}");
}
