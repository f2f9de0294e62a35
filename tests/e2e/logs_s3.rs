//! A build's log as an object in S3.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use tests::Project;
use tests::aws::Moto;

const LOGS_TO_S3: &str = r#"{"logsConfigOverride": {
    "cloudWatchLogs": {"status": "DISABLED"},
    "s3Logs": {"status": "ENABLED", "location": "logs/builds", "encryptionDisabled": true}
}}"#;

#[test]
fn the_log_object_is_the_log() {
    let moto = Moto::start();
    moto.create_bucket("logs");
    let project = Project::new("version: 0.2\nphases: {build: {commands: [echo one, echo two]}}\n")
        .with_file("overrides.json", LOGS_TO_S3);
    let overrides = project.source().join("overrides.json");
    let mut command = project.build_command(&["--overrides", overrides.to_str().unwrap()]);
    command.envs(moto.environment());
    let finished = tests::Running::start(command).finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    let build = finished.build();
    let uuid = build.id.rsplit(':').next().unwrap();
    let logs = build.logs.unwrap();
    assert_eq!(logs.delivery.as_deref(), Some("COMPLETE"));
    let arn = format!("arn:aws:s3:::logs/builds/{uuid}.gz");
    assert_eq!(logs.s3_logs_arn, Some(arn));
    let object = moto.s3("GET", &format!("/logs/builds/{uuid}.gz"), b"");
    assert_eq!(object.status, 200);
    let mut log = String::new();
    let mut decoder = MultiGzDecoder::new(object.body.as_slice());
    decoder.read_to_string(&mut log).unwrap();
    assert_eq!(log, finished.log());
}
