//! Webhooks over HTTPS, with certificates that only this machine trusts.

use nix::sys::signal::Signal;
use tests::Authority;
use tests::receiver::Receiver;
use tests::stores::Engine;

use super::{STATES, Site, subjects, tells_the_end, webhook};

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_over_https_where_its_authority_is_trusted() {
    let (trusted, unknown) = (Authority::new(), Authority::new());
    let receiver = Receiver::start_over_tls(trusted.server());
    let stranger = Receiver::start_over_tls(unknown.server());
    let config =
        webhook("ops", &receiver.url()) + STATES + &webhook("stranger", &stranger.url()) + STATES;
    let mut site = Site::new(Engine::Sqlite, &config).await;
    let certificate = trusted.certificate().display().to_string();
    site.variables = vec![("SSL_CERT_FILE", certificate)];
    let server = site.serve();
    site.submit_and_stop();
    let heard = receiver.wait_until(tells_the_end);
    assert_eq!(subjects(&heard), ["IN_PROGRESS", "STOPPED"]);
    // What is due is tried once more before it ends.
    server.signal(Signal::SIGTERM);
    let finished = server.finish();
    assert!(stranger.received().is_empty());
    assert!(
        finished.stderr.contains("nothing reaches stranger")
            && finished.stderr.contains("invalid peer certificate"),
        "{}",
        finished.stderr
    );
}
