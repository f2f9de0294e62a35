"""Sends every member of StartBuild that botocore knows, at every depth: each comes back in the build, or is refused by
its name."""

import boto3

client = boto3.client("codebuild")
client.create_project(
    name="demo",
    source={"type": "GITHUB", "location": "https://github.com/o/r.git"},
    artifacts={"type": "NO_ARTIFACTS"},
    environment={"type": "LINUX_CONTAINER", "image": "a:1", "computeType": "BUILD_GENERAL1_SMALL"},
    serviceRole="arn:aws:iam::000000000000:role/build",
)
AUTH = {"type": "SECRETS_MANAGER", "resource": "arn:aws:secretsmanager:r:1:secret:s"}
SECONDARY = {
    "type": "GITHUB",
    "location": "https://github.com/o/s.git",
    "gitCloneDepth": 1,
    "gitSubmodulesConfig": {"fetchSubmodules": True},
    "buildspec": "ci.yml",
    "auth": AUTH,
    "reportBuildStatus": True,
    "buildStatusConfig": {"context": "c", "targetUrl": "u"},
    "insecureSsl": True,
    "sourceIdentifier": "s",
}
BUCKET = {
    "type": "S3",
    "location": "bucket",
    "path": "p",
    "namespaceType": "NONE",
    "name": "n",
    "packaging": "ZIP",
    "overrideArtifactName": True,
    "encryptionDisabled": True,
    "bucketOwnerAccess": "FULL",
}
# What of that is shown of the artifacts of a build.
STORED = {
    "location": "arn:aws:s3:::bucket/p/n",
    "overrideArtifactName": True,
    "encryptionDisabled": True,
    "bucketOwnerAccess": "FULL",
}
LOGS = {
    "cloudWatchLogs": {"status": "ENABLED", "groupName": "g", "streamName": "s"},
    "s3Logs": {"status": "ENABLED", "location": "b/p", "encryptionDisabled": True, "bucketOwnerAccess": "FULL"},
}

# Member: what is sent, and where in the build it comes back. With the members that it needs beside it.
MEMBERS = {
    "projectName": ("demo", "projectName"),
    "sourceVersion": ("main", "sourceVersion"),
    "sourceTypeOverride": ("GITHUB_ENTERPRISE", "source.type"),
    "sourceLocationOverride": ("https://github.com/o/x.git", "source.location"),
    "sourceAuthOverride": (AUTH, "source.auth"),
    "gitCloneDepthOverride": (1, "source.gitCloneDepth"),
    "gitSubmodulesConfigOverride": ({"fetchSubmodules": True}, "source.gitSubmodulesConfig"),
    "buildspecOverride": ("version: 0.2\nphases: {}", "source.buildspec"),
    "insecureSslOverride": (True, "source.insecureSsl"),
    "reportBuildStatusOverride": (True, "source.reportBuildStatus"),
    "buildStatusConfigOverride": ({"context": "c", "targetUrl": "u"}, "source.buildStatusConfig"),
    "secondarySourcesOverride": ([SECONDARY], "secondarySources"),
    "secondarySourcesVersionOverride": ([{"sourceIdentifier": "s", "sourceVersion": "v"}], "secondarySourceVersions"),
    "artifactsOverride": (BUCKET, "artifacts"),
    "secondaryArtifactsOverride": ([{**BUCKET, "artifactIdentifier": "i"}], "secondaryArtifacts"),
    "environmentVariablesOverride": ([{"name": "A", "value": "1", "type": "PLAINTEXT"}], "environment.environmentVariables"),
    "environmentTypeOverride": ("ARM_CONTAINER", "environment.type"),
    "imageOverride": ("b:2", "environment.image"),
    "computeTypeOverride": ("BUILD_GENERAL1_LARGE", "environment.computeType"),
    "certificateOverride": ("bucket/key.pem", "environment.certificate"),
    "privilegedModeOverride": (False, "environment.privilegedMode"),
    "registryCredentialOverride": ({"credential": "c", "credentialProvider": "SECRETS_MANAGER"}, "environment.registryCredential"),
    "imagePullCredentialsTypeOverride": ("SERVICE_ROLE", "environment.imagePullCredentialsType"),
    "fleetOverride": ({"fleetArn": "arn:aws:codebuild:r:1:fleet/f:1"}, "environment.fleet"),
    "hostKernelOverride": ("LINUX_KERNEL_6", "environment.hostKernel"),
    "cacheOverride": ({"type": "LOCAL", "modes": ["LOCAL_CUSTOM_CACHE"], "location": "b/p", "cacheNamespace": "n"}, "cache"),
    "logsConfigOverride": (LOGS, "logs"),
    "serviceRoleOverride": ("arn:aws:iam::1:role/r", "serviceRole"),
    "encryptionKeyOverride": ("alias/k", "encryptionKey"),
    "timeoutInMinutesOverride": (7, "timeoutInMinutes"),
    "queuedTimeoutInMinutesOverride": (8, "queuedTimeoutInMinutes"),
    "autoRetryLimitOverride": (2, "autoRetryConfig.autoRetryLimit"),
    "debugSessionEnabled": (True, "debugSession.sessionEnabled"),
    "idempotencyToken": ("t", None),
}
BESIDE = {"secondarySourcesVersionOverride": "secondarySourcesOverride", "registryCredentialOverride": "imagePullCredentialsTypeOverride"}

# What the build shows instead of what was sent.
SHOWN = {
    "artifactsOverride": STORED,
    "secondaryArtifactsOverride": [{**STORED, "artifactIdentifier": "i"}],
}


def covered(shape, sent, path):
    """Every member of the model is sent, at every depth."""
    if shape.type_name == "structure":
        # Identifiers of secondary ones, in primary ones.
        missing = set(shape.members) - set(sent) - {"sourceIdentifier", "artifactIdentifier"}
        assert not missing, f"{path} leaves out {missing}"
        for name, value in sent.items():
            covered(shape.members[name], value, f"{path}.{name}")
    elif shape.type_name == "list":
        for value in sent:
            covered(shape.member, value, path)


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


shape = client.meta.service_model.operation_model("StartBuild").input_shape
covered(shape, {member: value for member, (value, _) in MEMBERS.items()}, "StartBuild")
assert set(shape.members) == set(MEMBERS), set(shape.members) ^ set(MEMBERS)
honoured, refused = [], []
for member, (value, path) in MEMBERS.items():
    arguments = {"projectName": "demo", member: value}
    if member in BESIDE:
        arguments[BESIDE[member]] = MEMBERS[BESIDE[member]][0]
    try:
        build = client.start_build(**arguments)["build"]
    except client.exceptions.InvalidInputException as error:
        names = (member, BESIDE.get(member, member), member.removesuffix("Override"))
        assert any(name in str(error) for name in names), f"{member}: {error}"
        refused.append(member)
        continue
    honoured.append(member)
    if path:
        found = build
        for part in path.split("."):
            found = found[part]
        compare(SHOWN.get(member, value), found, member)
print(f"{len(honoured)} honoured; refused by name: {' '.join(refused)}")
