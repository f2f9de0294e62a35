"""An answer that is lost, behind a proxy: what boto3 sends again starts one build."""

import boto3

client = boto3.client("codebuild")
build = client.start_build(projectName="demo")
assert build["build"]["buildNumber"] == 1, build
assert build["ResponseMetadata"]["RetryAttempts"] == 2, build["ResponseMetadata"]
assert len(client.list_builds()["ids"]) == 1
