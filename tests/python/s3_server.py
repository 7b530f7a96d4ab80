"""A real S3 server with empty buckets for one test, and boto3's eyes on what is in them.

Starts moto, or goes to the server that TEST_S3_ENDPOINT names (TEST_S3_ACCESS_KEY, TEST_S3_SECRET_KEY). Prints
`ready ENDPOINT ACCESS_KEY SECRET_KEY PLAIN_BUCKET LOCKED_BUCKET`, answers commands given line by line with one line of JSON,
and ends with its standard input, so that it cannot outlive the test.
"""

import io
import json
import os
import sys
import tarfile
import uuid

import boto3
import botocore.config
import botocore.exceptions


def head(client, bucket, key):
    answer = client.head_object(Bucket=bucket, Key=key)
    return {
        "length": answer["ContentLength"],
        "etag": answer.get("ETag"),
        "encryption": answer.get("ServerSideEncryption"),
        "kms_key": answer.get("SSEKMSKeyId"),
        "class": answer.get("StorageClass"),
        "lock_mode": answer.get("ObjectLockMode"),
        "locked_until": str(answer.get("ObjectLockRetainUntilDate")),
        "hold": answer.get("ObjectLockLegalHoldStatus"),
    }


def uploads(client, bucket):
    return len(client.list_multipart_uploads(Bucket=bucket).get("Uploads", []))


def keys(client, bucket):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def members(client, bucket, prefix):
    """Names of what lies in the packs, as any program sees them."""
    names = []
    for key in keys(client, bucket):
        if key.startswith(prefix) and key.endswith(".tar"):
            pack = io.BytesIO(client.get_object(Bucket=bucket, Key=key)["Body"].read())
            names += tarfile.open(fileobj=pack).getnames()
    return names


def put(client, bucket, key, text):
    client.put_object(Bucket=bucket, Key=key, Body=text.encode())
    return True


def destroy(client, bucket, key):
    """Tries to destroy every version of an object; gives the codes of the refusals."""
    refusals = []
    for version in client.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", []):
        try:
            client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        except botocore.exceptions.ClientError as error:
            refusals.append(error.response["Error"]["Code"])
    return refusals


def version(client, bucket):
    """Lets a bucket keep earlier versions."""
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return True


def versions(client, bucket, prefix=""):
    """Key of every version and of every marker of a deletion."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Versions", []) + page.get("DeleteMarkers", [])]


def begin(client, bucket, key):
    """An upload that nobody completes, with one part."""
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"left behind")
    return upload


COMMANDS = {"head": head, "uploads": uploads, "keys": keys, "members": members, "put": put, "destroy": destroy}
COMMANDS.update({"version": version, "versions": versions, "begin": begin})


def main():
    endpoint = os.environ.get("TEST_S3_ENDPOINT")
    server = None
    if endpoint:
        access, secret = os.environ["TEST_S3_ACCESS_KEY"], os.environ["TEST_S3_SECRET_KEY"]
    else:
        from moto.server import ThreadedMotoServer

        access, secret = "AKIATESTTESTTESTTEST", "secret+of/the=tests"
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        endpoint = "http://%s:%d" % server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        config=botocore.config.Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    name = "test-" + uuid.uuid4().hex[:12]
    locked = name + "-locked"
    client.create_bucket(Bucket=name)
    try:
        client.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    except botocore.exceptions.ClientError:
        locked = "-"
    print("ready", endpoint, access, secret, name, locked, flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        try:
            answer = COMMANDS[command](client, *arguments)
        except botocore.exceptions.ClientError as error:
            answer = {"error": error.response["Error"]["Code"]}
        print(json.dumps(answer), flush=True)
    if server:
        server.stop()


main()
