"""Sends every member of CreateProject that botocore knows, and looks at what BatchGetProjects gives back."""

import boto3

client = boto3.client("codebuild")
SOURCE = {
    "type": "GITHUB",
    "location": "https://github.com/o/r.git",
    "gitCloneDepth": 1,
    "gitSubmodulesConfig": {"fetchSubmodules": True},
    "buildspec": "ci.yml",
    "auth": {"type": "CODECONNECTIONS", "resource": "arn:aws:codeconnections:r:1:connection/c"},
    "reportBuildStatus": True,
    "buildStatusConfig": {"context": "c", "targetUrl": "u"},
    "insecureSsl": False,
}
ARTIFACTS = {
    "type": "S3",
    "location": "bucket",
    "path": "p",
    "namespaceType": "BUILD_ID",
    "name": "n",
    "packaging": "ZIP",
    "overrideArtifactName": True,
    "encryptionDisabled": True,
    "bucketOwnerAccess": "FULL",
}
PROJECT = {
    "name": "whole",
    "description": "d",
    "source": SOURCE,
    "secondarySources": [{**SOURCE, "sourceIdentifier": "s"}],
    "sourceVersion": "main",
    "secondarySourceVersions": [{"sourceIdentifier": "s", "sourceVersion": "v"}],
    "artifacts": ARTIFACTS,
    "secondaryArtifacts": [{**ARTIFACTS, "artifactIdentifier": "i"}],
    "cache": {"type": "LOCAL", "modes": ["LOCAL_SOURCE_CACHE", "LOCAL_CUSTOM_CACHE"], "cacheNamespace": "ns"},
    "environment": {
        "type": "LINUX_CONTAINER",
        "image": "registry.example/image:1",
        "computeType": "BUILD_GENERAL1_MEDIUM",
        "computeConfiguration": {"vCpu": 2, "memory": 4, "disk": 8, "machineType": "GENERAL"},
        "fleet": {"fleetArn": "arn:aws:codebuild:r:1:fleet/f:1"},
        "environmentVariables": [
            {"name": "A", "value": "", "type": "PLAINTEXT"},
            {"name": "B", "value": "/p", "type": "PARAMETER_STORE"},
            {"name": "C", "value": "s:k", "type": "SECRETS_MANAGER"},
        ],
        "privilegedMode": False,
        "certificate": "bucket/key.pem",
        "registryCredential": {"credential": "c", "credentialProvider": "SECRETS_MANAGER"},
        "imagePullCredentialsType": "SERVICE_ROLE",
        "dockerServer": {"computeType": "BUILD_GENERAL1_SMALL", "securityGroupIds": ["sg-1"]},
        "hostKernel": "LINUX_KERNEL_6",
    },
    "serviceRole": "arn:aws:iam::1:role/r",
    "timeoutInMinutes": 7,
    "queuedTimeoutInMinutes": 8,
    "encryptionKey": "alias/k",
    "tags": [{"key": "k", "value": "v"}],
    "vpcConfig": {"vpcId": "vpc-1", "subnets": ["s"], "securityGroupIds": ["g"]},
    "badgeEnabled": True,
    "logsConfig": {
        "cloudWatchLogs": {"status": "ENABLED", "groupName": "g", "streamName": "s"},
        "s3Logs": {"status": "ENABLED", "location": "b/p", "encryptionDisabled": True, "bucketOwnerAccess": "FULL"},
    },
    "fileSystemLocations": [{"type": "EFS", "location": "l", "mountPoint": "/m", "identifier": "i", "mountOptions": "o"}],
    "buildBatchConfig": {
        "serviceRole": "arn:aws:iam::1:role/b",
        "combineArtifacts": True,
        "restrictions": {"maximumBuildsAllowed": 3, "computeTypesAllowed": ["BUILD_GENERAL1_SMALL"], "fleetsAllowed": ["f"]},
        "timeoutInMins": 9,
        "batchReportMode": "REPORT_AGGREGATED_BATCH",
    },
    "concurrentBuildLimit": 2,
    "autoRetryLimit": 3,
}


def compare(sent, found, path):
    if isinstance(sent, dict):
        for name, value in sent.items():
            assert name in found, f"{path}.{name} does not come back"
            compare(value, found[name], f"{path}.{name}")
    elif isinstance(sent, list):
        assert len(sent) == len(found), path
        for place, (one, other) in enumerate(zip(sent, found)):
            compare(one, other, f"{path}[{place}]")
    else:
        assert sent == found, f"{path}: {found!r} instead of {sent!r}"


def covered(shape, sent, path):
    """Every member of the model is sent, at every depth."""
    if shape.type_name == "structure":
        # Identifiers of secondary ones in primary ones, another kind of compute, what only outputs have, and the
        # bucket of another type of cache.
        other = {"sourceIdentifier", "artifactIdentifier", "instanceType"}
        other |= {"status"} if path.endswith("dockerServer") else set()
        other |= {"location"} if path.endswith("cache") else set()
        missing = set(shape.members) - set(sent) - other
        assert not missing, f"{path} leaves out {missing}"
        for name, value in sent.items():
            covered(shape.members[name], value, f"{path}.{name}")
    elif shape.type_name == "list":
        for value in sent:
            covered(shape.member, value, path)


covered(client.meta.service_model.operation_model("CreateProject").input_shape, PROJECT, "project")
client.create_project(**PROJECT)
found = client.batch_get_projects(names=["whole"])["projects"][0]
assert found["badge"]["badgeEnabled"] is True
sent = {name: value for name, value in PROJECT.items() if name != "badgeEnabled"}
compare(sent, found, "project")
again = client.update_project(name="whole", description="e")["project"]
compare({**sent, "description": "e"}, again, "project")
print("done")
