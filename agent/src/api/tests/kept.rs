//! What is kept beside projects and builds: credentials, report groups, logs.

use serde_json::{Value, json};

use super::Service;

#[tokio::test]
async fn credentials_of_git_hosts_are_taken_in_and_never_given_out() {
    let service = Service::start().await;
    let import = |overwrite: bool| {
        let input = json!({"token": "t0ken", "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN", "shouldOverwrite": overwrite});
        service.call("ImportSourceCredentials", input)
    };
    let arn = "arn:aws:codebuild:us-east-1:123456789012:token/github";
    assert_eq!(import(true).await.unwrap(), json!({"arn": arn}));
    assert_eq!(import(true).await.unwrap(), json!({"arn": arn}));
    assert_eq!(
        import(false).await.unwrap_err().0,
        "ResourceAlreadyExistsException"
    );
    let listed = service
        .call("ListSourceCredentials", json!({}))
        .await
        .unwrap();
    let info = json!({"arn": arn, "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"});
    assert_eq!(listed, json!({"sourceCredentialsInfos": [info]}));
    for file in std::fs::read_dir(service.directory.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = if path.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        assert!(
            !bytes.windows(5).any(|part| part == b"t0ken"),
            "{}",
            path.display()
        );
    }
    let delete = || service.call("DeleteSourceCredentials", json!({"arn": arn}));
    assert_eq!(delete().await.unwrap(), json!({"arn": arn}));
    assert_eq!(delete().await.unwrap_err().0, "ResourceNotFoundException");
}

#[tokio::test]
async fn report_groups_are_made_and_listed() {
    let service = Service::start().await;
    let group = json!({"name": "demo-unit", "type": "TEST", "exportConfig": {"exportConfigType": "NO_EXPORT"}});
    let made = service
        .call("CreateReportGroup", group.clone())
        .await
        .unwrap();
    let arn = "arn:aws:codebuild:us-east-1:123456789012:report-group/demo-unit";
    assert_eq!(made["reportGroup"]["arn"], arn);
    assert_eq!(
        service
            .call("CreateReportGroup", group)
            .await
            .unwrap_err()
            .0,
        "ResourceAlreadyExistsException"
    );
    let found = service
        .call(
            "BatchGetReportGroups",
            json!({"reportGroupArns": [arn, "x"]}),
        )
        .await
        .unwrap();
    assert_eq!(
        (&found["reportGroups"][0], &found["reportGroupsNotFound"]),
        (&made["reportGroup"], &json!(["x"]))
    );
    assert_eq!(
        service.call("ListReportGroups", json!({})).await.unwrap(),
        json!({"reportGroups": [arn]})
    );
    let reports = service
        .call("ListReportsForReportGroup", json!({"reportGroupArn": arn}))
        .await
        .unwrap();
    assert_eq!(reports, json!({"reports": []}));
    let images = service
        .call("ListCuratedEnvironmentImages", json!({}))
        .await
        .unwrap();
    assert!(images.to_string().contains("aws/codebuild/standard:7.0"));
    service
        .call("DeleteReportGroup", json!({"arn": arn}))
        .await
        .unwrap();
    assert_eq!(
        service.call("ListReportGroups", json!({})).await.unwrap(),
        json!({"reportGroups": []})
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told to its end")]
async fn the_log_of_a_build_is_read_by_clients_of_cloudwatch_logs() {
    use crate::logs::{KeptLogs, LogSink};
    let service = Service::start().await;
    let logs = KeptLogs::new(service.directory.path().join("logs"));
    let mut log = logs.write("/aws/codebuild/demo", "s").unwrap();
    log.log(1_000_000, b"one\ntwo\n").unwrap();
    let place =
        json!({"logGroupName": "/aws/codebuild/demo", "logStreamName": "s", "startFromHead": true});
    let page = service.call("GetLogEvents", place.clone()).await.unwrap();
    assert_eq!(
        page["events"][1],
        json!({"timestamp": 1000, "message": "two\n", "ingestionTime": 1000})
    );
    let next = |token: &Value| {
        let mut input = place.clone();
        input["nextToken"] = token.clone();
        service.call("GetLogEvents", input)
    };
    let end = next(&page["nextForwardToken"]).await.unwrap();
    assert_eq!(end["events"], json!([]));
    assert_eq!(
        end["nextForwardToken"], page["nextForwardToken"],
        "the end gives the same token"
    );
    log.log(2_000_000, b"three\n").unwrap();
    let more = next(&end["nextForwardToken"]).await.unwrap();
    assert_eq!(more["events"][0]["message"], "three\n");
    let filter =
        json!({"logGroupName": "/aws/codebuild/demo", "startTime": 1500, "filterPattern": "three"});
    let found = service.call("FilterLogEvents", filter).await.unwrap();
    assert_eq!(found["events"][0]["logStreamName"], "s");
    assert_eq!(found["events"].as_array().unwrap().len(), 1);
    let mut seen = Vec::new();
    let mut input = json!({"logGroupName": "/aws/codebuild/demo", "limit": 1});
    loop {
        let found = service
            .call("FilterLogEvents", input.clone())
            .await
            .unwrap();
        seen.extend(
            found["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["message"].to_string()),
        );
        match found.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen, [r#""one\n""#, r#""two\n""#, r#""three\n""#]);
    let groups = service.call("DescribeLogGroups", json!({})).await.unwrap();
    assert_eq!(
        groups["logGroups"][0]["logGroupName"],
        "/aws/codebuild/demo"
    );
    let streams = service
        .call(
            "DescribeLogStreams",
            json!({"logGroupName": "/aws/codebuild/demo"}),
        )
        .await
        .unwrap();
    assert_eq!(streams["logStreams"][0]["logStreamName"], "s");
    let early = json!({
        "logGroupName": "/aws/codebuild/demo",
        "logStreamName": uuid::Uuid::nil().to_string(),
        "startFromHead": true,
    });
    let early = service.call("GetLogEvents", early).await.unwrap();
    assert_eq!(
        early,
        json!({"events": [], "nextForwardToken": "f/0", "nextBackwardToken": "b/0"}),
        "a build that has said nothing yet"
    );
    for (operation, input) in [
        (
            "GetLogEvents",
            json!({"logGroupName": "/aws/codebuild/demo", "logStreamName": "x"}),
        ),
        ("FilterLogEvents", json!({"logGroupName": "x"})),
        ("DescribeLogStreams", json!({"logGroupName": "x"})),
    ] {
        let error = service.call(operation, input).await.unwrap_err();
        assert_eq!(error.0, "ResourceNotFoundException", "{operation}");
    }
}
