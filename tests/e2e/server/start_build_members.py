"""Sends every member of StartBuild that botocore knows: each comes back in the build, or is refused by its name."""

import boto3

client = boto3.client("codebuild")
client.create_project(
    name="demo",
    source={"type": "GITHUB", "location": "https://github.com/o/r.git"},
    artifacts={"type": "NO_ARTIFACTS"},
    environment={"type": "LINUX_CONTAINER", "image": "a:1", "computeType": "BUILD_GENERAL1_SMALL"},
    serviceRole="arn:aws:iam::000000000000:role/build",
)
SECONDARY = {"type": "GITHUB", "location": "https://github.com/o/s.git", "sourceIdentifier": "s"}
BUCKET = {"type": "S3", "location": "bucket", "name": "n", "packaging": "ZIP", "artifactIdentifier": "i"}

# Member: what is sent, and where in the build it comes back. With the members that it needs beside it.
MEMBERS = {
    "projectName": ("demo", "projectName"),
    "sourceVersion": ("main", "sourceVersion"),
    "sourceTypeOverride": ("GITHUB_ENTERPRISE", "source.type"),
    "sourceLocationOverride": ("https://github.com/o/x.git", "source.location"),
    "sourceAuthOverride": ({"type": "SECRETS_MANAGER", "resource": "arn:aws:secretsmanager:r:1:secret:s"}, "source.auth"),
    "gitCloneDepthOverride": (1, "source.gitCloneDepth"),
    "gitSubmodulesConfigOverride": ({"fetchSubmodules": True}, "source.gitSubmodulesConfig"),
    "buildspecOverride": ("version: 0.2\nphases: {}", "source.buildspec"),
    "insecureSslOverride": (True, "source.insecureSsl"),
    "reportBuildStatusOverride": (True, "source.reportBuildStatus"),
    "buildStatusConfigOverride": ({"context": "c", "targetUrl": "u"}, "source.buildStatusConfig"),
    "secondarySourcesOverride": ([SECONDARY], "secondarySources"),
    "secondarySourcesVersionOverride": ([{"sourceIdentifier": "s", "sourceVersion": "v"}], "secondarySourceVersions"),
    "artifactsOverride": ({"type": "S3", "location": "bucket", "name": "n"}, None),
    "secondaryArtifactsOverride": ([BUCKET], None),
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
    "cacheOverride": ({"type": "S3", "location": "bucket/prefix"}, "cache"),
    "logsConfigOverride": ({"cloudWatchLogs": {"status": "DISABLED"}}, "logs.cloudWatchLogs.status"),
    "serviceRoleOverride": ("arn:aws:iam::1:role/r", "serviceRole"),
    "encryptionKeyOverride": ("alias/k", "encryptionKey"),
    "timeoutInMinutesOverride": (7, "timeoutInMinutes"),
    "queuedTimeoutInMinutesOverride": (8, "queuedTimeoutInMinutes"),
    "autoRetryLimitOverride": (2, "autoRetryConfig.autoRetryLimit"),
    "debugSessionEnabled": (True, "debugSession.sessionEnabled"),
    "idempotencyToken": ("t", None),
}
BESIDE = {"secondarySourcesVersionOverride": "secondarySourcesOverride", "registryCredentialOverride": "imagePullCredentialsTypeOverride"}

known = client.meta.service_model.operation_model("StartBuild").input_shape.members
assert set(known) == set(MEMBERS), set(known) ^ set(MEMBERS)
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
        expected = value["cloudWatchLogs"]["status"] if member == "logsConfigOverride" else value
        assert found == expected, f"{member}: {found!r} instead of {expected!r}"
print(f"{len(honoured)} honoured; refused by name: {' '.join(refused)}")
