"""What boto3 says of keys, secrets and clocks that are not right, in the protocol that the argument names."""

import datetime
import os

import boto3
import botocore.auth
import botocore.client
import botocore.exceptions

KEY = os.environ["AWS_ACCESS_KEY_ID"]
SECRET = os.environ["AWS_SECRET_ACCESS_KEY"]


def code(key=KEY, secret=SECRET, token=None, **config):
    client = boto3.client(
        "codebuild",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=botocore.client.Config(**config),
    )
    try:
        client.list_projects()
    except botocore.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error.response
        assert error.response["ResponseMetadata"]["RequestId"], error.response
        return error.response["Error"]["Code"]
    return None


def expect(expected, found):
    assert found == expected, f"{found} instead of {expected}"


expect(None, code())
expect("InvalidSignatureException", code(secret="wrong"))
expect("UnrecognizedClientException", code(key="AKIAWRONG"))
expect("UnrecognizedClientException", code(token="a token that was never issued"))
expect("MissingAuthenticationTokenException", code(signature_version=botocore.UNSIGNED))

now = botocore.auth.get_current_datetime
for hours in (-1, 1):
    botocore.auth.get_current_datetime = lambda *given, **named: now(*given, **named) + datetime.timedelta(hours=hours)
    expect("InvalidSignatureException", code())
for minutes in (-4, 4):
    botocore.auth.get_current_datetime = lambda *given, **named: now(*given, **named) + datetime.timedelta(minutes=minutes)
    expect(None, code())
print("done")
