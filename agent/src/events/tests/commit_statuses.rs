//! What commits show.

use serde_json::{Value, json};

use super::super::commit_status;
use super::*;

/// What a commit is to show after a change.
fn status(overrides: &Value, before: &Value, after: &Value) -> Option<Value> {
    let mut all = json!({"reportBuildStatusOverride": true});
    all.as_object_mut()
        .unwrap()
        .extend(overrides.as_object().unwrap().clone());
    let config = announcer("[commit_status]\ntarget_url = 'https://ci/$CODEBUILD_BUILD_ID'");
    let told = told(&config, &request(&all), Some(before), after);
    let message = told.first()?;
    assert_eq!(message.destination, commit_status::DESTINATION);
    Some(serde_json::from_str(&message.payload).unwrap())
}

#[test]
fn a_commit_is_pending_once_it_is_known_and_gets_one_final_state() {
    let nothing = json!({});
    let unknown = record(&[entered("DOWNLOAD_SOURCE", 1.0)]);
    let mut known = unknown.clone();
    known["resolvedSourceVersion"] = COMMIT.into();
    assert_eq!(status(&nothing, &unknown, &unknown), None);
    let expected = json!({"commit": COMMIT, "status": null,
        "context": "AWS CodeBuild eu-west-1 (demo)",
        "description": "Build started for project demo",
        "target_url": format!("https://ci/demo:{UUID}")});
    assert_eq!(status(&nothing, &unknown, &known), Some(expected));
    assert_eq!(status(&nothing, &known, &known), None);
    let mut failed = over(known.clone(), "FAILED");
    failed["phases"] = json!([phase("BUILD", 0.0, 4.0, Some(["CODE", "why"]))]);
    let shown = status(&nothing, &known, &failed).unwrap();
    assert_eq!(shown["status"], "FAILED");
    assert_eq!(
        shown["description"],
        "Build failed in BUILD for project demo"
    );
    assert_eq!(status(&nothing, &failed, &failed), None);
    // A build that could not even fetch it.
    let lost = over(unknown.clone(), "FAULT");
    assert_eq!(status(&nothing, &unknown, &lost), None, "which commit?");
    let shown = status(&json!({"sourceVersion": COMMIT}), &unknown, &lost).unwrap();
    assert_eq!(
        (&shown["commit"], &shown["status"]),
        (&json!(COMMIT), &json!("FAULT"))
    );
    let silent = told(&announcer(""), &request(&json!({})), Some(&known), &failed);
    assert_eq!(silent, [], "it was not asked for");
}

#[test]
fn the_words_of_a_status_hold_variables_of_the_build() {
    let known = record(&[]);
    let mut after = over(known.clone(), "SUCCEEDED");
    after["resolvedSourceVersion"] = COMMIT.into();
    after["exportedEnvironmentVariables"] = json!([{"name": "RELEASE", "value": "1.10"}]);
    for (text, expected) in [
        (
            "build-$CODEBUILD_BUILD_NUMBER-$AWS_REGION",
            "build-12-eu-west-1",
        ),
        ("${STAGE}:$RELEASE", "beta:1.10"),
        ("$NONE.$", ".$"),
        ("$5 ${", "$5 ${"),
        ("${a-b}", "${a-b}"),
        ("é$STAGE", "ébeta"),
        ("$SECRET", ""),
        ("$CODEBUILD_RESOLVED_SOURCE_VERSION", COMMIT),
        ("$CODEBUILD_BUILD_NUMBER$CODEBUILD_INITIATOR", "12ada"),
    ] {
        let overrides = json!({
            "buildStatusConfigOverride": {"context": text, "targetUrl": format!("https://x/{text}")},
            "environmentVariablesOverride": [{"name": "STAGE", "value": "beta"},
                {"name": "CODEBUILD_BUILD_NUMBER", "value": "7"},
                {"name": "SECRET", "value": "/s", "type": "PARAMETER_STORE"}]});
        let shown = status(&overrides, &known, &after).unwrap();
        let expected = (json!(expected), json!(format!("https://x/{expected}")));
        let found = (shown["context"].clone(), shown["target_url"].clone());
        assert_eq!(
            found,
            if text == "$SECRET" {
                (json!("AWS CodeBuild eu-west-1 (demo)"), expected.1)
            } else {
                expected
            },
            "{text}"
        );
    }
}
