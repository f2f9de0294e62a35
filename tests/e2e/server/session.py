"""A team's session through boto3, in the protocol that the argument names."""

import json
import sys
import time

import boto3

client = boto3.client("codebuild")


def check(shape, value, path):
    """Every value is written as the model says: SDKs in typed languages refuse `7.0` where 7 belongs."""
    kinds = {
        "integer": int, "long": int, "boolean": bool, "string": str, "timestamp": (int, float), "double": (int, float),
    }
    if shape.type_name == "structure":
        for name, member in value.items():
            if name in shape.members and member is not None:
                check(shape.members[name], member, f"{path}.{name}")
    elif shape.type_name == "list":
        for place, item in enumerate(value):
            check(shape.member, item, f"{path}[{place}]")
    elif shape.type_name == "map":
        for name, item in value.items():
            check(shape.value, item, f"{path}.{name}")
    else:
        is_right = isinstance(value, kinds[shape.type_name])
        is_bool = isinstance(value, bool) and shape.type_name != "boolean"
        assert is_right and not is_bool, f"{path} is {value!r}, no {shape.type_name}"


def look(operation_model, response_dict, **_):
    if sys.argv[1] == "json" and response_dict["status_code"] == 200:
        output = json.loads(response_dict["body"])
        assert operation_model.output_shape is None or isinstance(output, dict)
        if operation_model.output_shape is not None:
            check(operation_model.output_shape, output, operation_model.name)


client.meta.events.register("before-parse.codebuild", look)
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
for _ in range(248):
    client.start_build(projectName="demo")
pages = [page["ids"] for page in client.get_paginator("list_builds").paginate()]
ids = [build for page in pages for build in page]
assert len(ids) == 250 == len(set(ids)) and len(pages) == 3, [len(page) for page in pages]
assert ids[-1] == build["id"], "the newest comes first"
assert client.list_curated_environment_images()["platforms"]
arn = client.import_source_credentials(token="t", serverType="GITHUB", authType="PERSONAL_ACCESS_TOKEN")["arn"]
assert client.list_source_credentials()["sourceCredentialsInfos"][0]["arn"] == arn
raises(errors.InvalidInputException, client.create_webhook, projectName="demo")
client.delete_project(name="demo")
print("done")
