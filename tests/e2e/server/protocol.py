"""Comes before every other script: makes boto3 speak CBOR where the argument says so. Nobody can choose it."""

import sys

if sys.argv[1] == "cbor":
    import botocore.args
    import botocore.model
    import botocore.utils

    order = ("smithy-rpc-v2-cbor", "json", "rest-json", "rest-xml", "query", "ec2")
    for module in (botocore.model, botocore.args, botocore.utils):
        module.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = order
