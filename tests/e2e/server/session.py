"""A team's session through boto3, in the protocol that the argument names."""

import sys
import time

if sys.argv[1] == "cbor":
    import botocore.args
    import botocore.model
    import botocore.utils

    order = ("smithy-rpc-v2-cbor", "json", "rest-json", "rest-xml", "query", "ec2")
    for module in (botocore.model, botocore.args, botocore.utils):
        module.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = order

import boto3

client = boto3.client("codebuild")
PROJECT = dict(
    name="demo",
    source={"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [true]}}"},
    artifacts={"type": "NO_ARTIFACTS"},
    environment={
        "type": "LINUX_CONTAINER",
        "image": "aws/codebuild/standard:7.0",
        "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": [{"name": "A", "value": "project"}],
    },
    serviceRole="arn:aws:iam::000000000000:role/build",
)


def raises(error, operation, **arguments):
    try:
        operation(**arguments)
    except error as raised:
        assert raised.response["ResponseMetadata"]["RetryAttempts"] == 0, raised.response
        assert raised.response["ResponseMetadata"]["RequestId"], raised.response
        return
    raise AssertionError(f"{operation} was carried out with {arguments}")


errors = client.exceptions
made = client.create_project(**PROJECT)["project"]
assert made["arn"].endswith(":project/demo"), made
assert abs(made["created"].timestamp() - time.time()) < 60, made
raises(errors.ResourceAlreadyExistsException, client.create_project, **PROJECT)
raises(errors.InvalidInputException, client.create_project, **{**PROJECT, "name": "x y!"})
raises(errors.ResourceNotFoundException, client.start_build, projectName="nope")
raises(errors.InvalidInputException, client.start_build, projectName="demo", timeoutInMinutesOverride=3000)
changed = client.update_project(name="demo", description="changed")["project"]
assert changed["description"] == "changed" and changed["source"] == made["source"], changed
assert client.batch_get_projects(names=["demo", "nope"])["projectsNotFound"] == ["nope"]
assert client.list_projects()["projects"] == ["demo"]
build = client.start_build(
    projectName="demo",
    timeoutInMinutesOverride=7,
    environmentVariablesOverride=[{"name": "A", "value": "override", "type": "PLAINTEXT"}],
)["build"]
assert build["buildNumber"] == 1 and build["timeoutInMinutes"] == 7, build
assert build["environment"]["environmentVariables"] == [
    {"name": "A", "value": "override", "type": "PLAINTEXT"}
], build
assert abs(build["startTime"].timestamp() - time.time()) < 60, build
found = client.batch_get_builds(ids=[build["id"], "demo:nope"])
assert found["buildsNotFound"] == ["demo:nope"], found
assert found["builds"][0]["id"] == build["id"], found
client.stop_build(id=build["id"])
retried = client.retry_build(id=build["id"])["build"]
assert retried["buildNumber"] == 2 and retried["environment"] == build["environment"], retried
client.stop_build(id=retried["id"])
for _ in range(110):
    client.start_build(projectName="demo")
pages = [page["ids"] for page in client.get_paginator("list_builds").paginate()]
ids = [build for page in pages for build in page]
assert len(ids) == 112 == len(set(ids)) and len(pages) == 2, [len(page) for page in pages]
assert ids[-1] == build["id"], "the newest comes first"
assert client.list_curated_environment_images()["platforms"]
arn = client.import_source_credentials(token="t", serverType="GITHUB", authType="PERSONAL_ACCESS_TOKEN")["arn"]
assert client.list_source_credentials()["sourceCredentialsInfos"][0]["arn"] == arn
raises(errors.InvalidInputException, client.create_webhook, projectName="demo")
client.delete_project(name="demo")
print("done")
