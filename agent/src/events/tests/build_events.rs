//! Events of buses, topics and webhooks.

use serde_json::json;

use super::*;

#[test]
fn the_first_event_is_codebuilds() {
    let request = request(&json!({"sourceVersion": "main"}));
    let told = events(&request, None, &submitted());
    let id = told[0]["id"].clone();
    let arn = format!("arn:aws:codebuild:eu-west-1:123456789012:build/demo:{UUID}");
    let expected = json!({
        "version": "0", "id": id, "detail-type": "CodeBuild Build State Change",
        "source": "aws.codebuild", "account": "123456789012", "time": "2026-11-03T21:28:52Z",
        "region": "eu-west-1", "resources": [arn],
        "detail": {
            "build-status": "IN_PROGRESS", "project-name": "demo", "build-id": arn,
            "current-phase": "SUBMITTED", "current-phase-context": "[]", "version": "1",
            "additional-information": {
                "artifact": {"location": ""}, "cache": {"type": "NO_CACHE"},
                "environment": {"image": "aws/codebuild/standard:7.0", "privileged-mode": false,
                    "image-pull-credentials-type": "CODEBUILD",
                    "compute-type": "BUILD_GENERAL1_SMALL", "type": "LINUX_CONTAINER",
                    "environment-variables": []},
                "timeout-in-minutes": 60.0, "queued-timeout-in-minutes": 480.0,
                "build-complete": false, "initiator": "ada",
                "build-start-time": "Nov 3, 2026 9:28:52 PM",
                "source": {"type": "GITHUB", "location": "https://github.com/o/r.git"},
                "source-version": "main",
                "logs": {"deep-link": "https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logEvent:group=null;stream=null"},
            },
        },
    });
    assert_eq!(told[0], expected);
    assert_eq!(
        told[0].to_string().matches("60.0").count(),
        1,
        "numbers are floating"
    );
    assert_eq!(told[1]["detail"]["completed-phase"], "SUBMITTED");
    assert_eq!(told[1]["detail"]["completed-phase-context"], "[]");
    assert_eq!(told.len(), 2);
}

#[test]
fn a_failed_phase_is_told_as_codebuild_does() {
    let request = request(&json!({}));
    let message = "Error while executing command: make. Reason: exit status 2";
    let before = record(&[phase("SUBMITTED", 0.0, 0.0, None), entered("BUILD", 38.0)]);
    let after = record(&[
        phase("SUBMITTED", 0.0, 0.0, None),
        phase(
            "BUILD",
            38.0,
            42.0,
            Some(["COMMAND_EXECUTION_ERROR", message]),
        ),
        entered("POST_BUILD", 42.0),
    ]);
    let told = events(&request, Some(&before), &after);
    let [event] = told.as_slice() else {
        panic!("one phase has ended: {told:?}");
    };
    assert_eq!(event["detail-type"], "CodeBuild Build Phase Change");
    assert_eq!(event["time"], "2026-11-03T21:29:30Z");
    let mut detail = event["detail"].clone();
    let information = detail["additional-information"].take();
    assert_eq!(
        detail,
        json!({
            "completed-phase": "BUILD", "completed-phase-status": "FAILED",
            "completed-phase-duration-seconds": 4.0,
            "completed-phase-context": format!("[COMMAND_EXECUTION_ERROR: {message}]"),
            "completed-phase-start": "Nov 3, 2026 9:29:30 PM",
            "completed-phase-end": "Nov 3, 2026 9:29:34 PM",
            "project-name": "demo", "version": "1", "additional-information": null,
            "build-id": format!("arn:aws:codebuild:eu-west-1:123456789012:build/demo:{UUID}"),
        })
    );
    assert_eq!(information["build-number"].to_string(), "12.0");
    assert_eq!(information["build-complete"], false);
    assert_eq!(
        information["phases"][1],
        json!({"phase-type": "BUILD", "phase-status": "FAILED",
            "start-time": "Nov 3, 2026 9:29:30 PM", "end-time": "Nov 3, 2026 9:29:34 PM",
            "duration-in-seconds": 4.0,
            "phase-context": [format!("COMMAND_EXECUTION_ERROR: {message}")]})
    );
    assert_eq!(
        information["phases"][2],
        json!({"phase-type": "POST_BUILD", "start-time": "Nov 3, 2026 9:29:34 PM"})
    );
    assert_eq!(information["logs"]["group-name"], "/aws/codebuild/demo");
    assert_eq!(information["logs"]["stream-name"], UUID);
}

#[test]
fn the_next_phase_is_shown_before_anybody_has_entered_it() {
    let request = request(&json!({}));
    let last_shown = |ended: Value| {
        let told = events(&request, Some(&record(&[])), &record(&[ended]));
        let phases = &told[0]["detail"]["additional-information"]["phases"];
        phases.as_array().unwrap().last().cloned().unwrap()
    };
    assert_eq!(
        last_shown(phase("DOWNLOAD_SOURCE", 0.0, 4.0, None)),
        json!({"phase-type": "INSTALL", "start-time": "Nov 3, 2026 9:28:56 PM"})
    );
    let failed = phase("DOWNLOAD_SOURCE", 0.0, 4.0, Some(["CODE", "why"]));
    assert_eq!(
        last_shown(failed)["phase-type"],
        "DOWNLOAD_SOURCE",
        "nobody knows what follows"
    );
}

#[test]
fn the_last_event_follows_those_of_all_phases() {
    let request = request(&json!({}));
    let after = over(
        record(&[
            phase("SUBMITTED", 0.0, 0.0, None),
            phase("QUEUED", 0.0, 1.0, None),
            phase("PROVISIONING", 1.0, 4.0, Some(["", ""])),
            phase("FINALIZING", 4.0, 9.0, Some(["", ""])),
            entered("COMPLETED", 9.0),
        ]),
        "SUCCEEDED",
    );
    let told = events(&request, Some(&submitted()), &after);
    let names: Vec<_> = told
        .iter()
        .map(|event| {
            let detail = &event["detail"];
            detail["completed-phase"].as_str().unwrap_or("the end")
        })
        .collect();
    assert_eq!(names, ["QUEUED", "PROVISIONING", "FINALIZING", "the end"]);
    let first = &told[0]["detail"]["additional-information"]["phases"];
    assert_eq!(
        first.as_array().unwrap().len(),
        3,
        "later phases are later events'"
    );
    assert_eq!(told[1]["detail"]["completed-phase-context"], "[: ]");
    let end = &told[3]["detail"];
    assert_eq!(
        (&end["build-status"], &end["current-phase"]),
        (&json!("SUCCEEDED"), &json!("COMPLETED"))
    );
    assert_eq!(end["current-phase-context"], "[: ]");
    let information = &end["additional-information"];
    assert_eq!(information["build-complete"], true);
    let last = information["phases"].as_array().unwrap().last().unwrap();
    assert_eq!(
        *last,
        json!({"phase-type": "COMPLETED", "start-time": "Nov 3, 2026 9:29:01 PM"})
    );
    // What was told once is not told again.
    assert_eq!(events(&request, Some(&after), &after), [json!(null); 0]);
}

#[test]
fn an_event_has_the_same_identity_whoever_tells_it() {
    let request = request(&json!({}));
    let after = over(record(&[phase("SUBMITTED", 0.0, 0.0, None)]), "FAILED");
    let tell = || told(&everybody(), &request, None, &after);
    assert_eq!(tell(), tell());
    let ids: std::collections::BTreeSet<_> = tell().iter().map(|message| message.id).collect();
    // Begun, one phase, over: to two destinations.
    assert_eq!((tell().len(), ids.len()), (6, 3));
    // The phase of another attempt began later.
    let again = over(record(&[phase("SUBMITTED", 5.0, 6.0, None)]), "FAILED");
    let other = told(&everybody(), &request, None, &again);
    assert_eq!(tell()[0].id, other[0].id);
    assert_ne!(tell()[2].id, other[2].id);
}

#[test]
fn a_destination_gets_what_it_asks_for() {
    let request = request(&json!({}));
    let after = over(
        record(&[phase("BUILD", 0.0, 4.0, Some(["CODE", "why"]))]),
        "FAILED",
    );
    for (label, filter, expected) in [
        ("everything", "", 2),
        (
            "states",
            "detail_types = ['CodeBuild Build State Change']",
            1,
        ),
        ("a status", "statuses = ['FAILED', 'STOPPED']", 2),
        ("another status", "statuses = ['SUCCEEDED']", 0),
        ("its project", "projects = ['other', 'demo']", 2),
        ("a beginning", "projects = ['de*']", 2),
        ("other projects", "projects = ['dem', 'x*']", 0),
    ] {
        let config = format!("[[events]]\nname = 'a'\nto.sns = {{topic = 'arn:t'}}\n{filter}");
        let told = told(&announcer(&config), &request, Some(&record(&[])), &after);
        assert_eq!(told.len(), expected, "{label}");
    }
}

#[test]
fn no_event_shows_what_no_log_shows() {
    let mut request = request(&json!({"environmentVariablesOverride": [
        {"name": "PLAIN", "value": "p"}, {"name": "MASKED", "value": "m"},
        {"name": "STORED", "value": "/s", "type": "PARAMETER_STORE"}]}));
    request.masked_variables = vec!["MASKED".to_owned()];
    let told = events(&request, None, &submitted());
    assert_eq!(
        told[0]["detail"]["additional-information"]["environment"]["environment-variables"],
        json!([{"name": "PLAIN", "value": "p", "type": "PLAINTEXT"},
            {"name": "MASKED", "value": "***", "type": "PLAINTEXT"},
            {"name": "STORED", "value": "/s", "type": "PARAMETER_STORE"}])
    );
}

#[test]
fn no_event_shows_how_a_repository_is_opened() {
    for (location, shown) in [
        (
            "https://ada:s3cret@git.example.com/o/r.git",
            "https://git.example.com/o/r.git",
        ),
        ("HTTPS://s3cret@h:8443/r@v", "HTTPS://h:8443/r@v"),
        (
            "https://git.example.com/o/r@v.git",
            "https://git.example.com/o/r@v.git",
        ),
        ("ssh://git@h/r.git", "ssh://git@h/r.git"),
        ("git@h:o/r.git", "git@h:o/r.git"),
        ("bucket/a@b.zip", "bucket/a@b.zip"),
    ] {
        let request = request(&json!({"sourceLocationOverride": location}));
        let told = events(&request, None, &submitted());
        let source = &told[0]["detail"]["additional-information"]["source"];
        assert_eq!(source["location"], shown);
    }
}

#[test]
fn nothing_is_told_where_nobody_is_named() {
    let announcer = announcer("");
    assert!(!announcer.hears_all());
    let request = request(&json!({}));
    let after = over(record(&[]), "FAILED");
    assert_eq!(told(&announcer, &request, None, &after), []);
}
