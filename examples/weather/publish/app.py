"""publish: the site's files are in its bucket when the stack is there, and gone before it goes.

In: CloudFormation's requests for the custom resource `Custom::Site`. Out: the files of `site/` with
their content types, and `config.json`, which tells the page where the API is; then the answer that
CloudFormation waits for at the ResponseURL. Put files are the same if they are put again.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

import json
import logging
import os
import urllib.request
from pathlib import Path
from typing import Any

import boto3

SITE = Path(__file__).parent / "site"
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

log = logging.getLogger()


def handler(event: dict[str, Any], context: Any) -> None:
    """Answers in any case: without an answer the stack would wait for an hour."""
    bucket = event["ResourceProperties"]["Bucket"]
    try:
        if event["RequestType"] == "Delete":
            empty(bucket)
        else:
            publish(bucket)
    except Exception as error:
        log.exception("%s failed", event["RequestType"])
        return answer(event, bucket, "FAILED", f"{error} (log stream {context.log_stream_name})")
    return answer(event, bucket, "SUCCESS", "")


def publish(bucket: str) -> None:
    for file in sorted(path for path in SITE.rglob("*") if path.is_file()):
        put(bucket, file.relative_to(SITE).as_posix(), file.read_bytes())
    put(bucket, "config.json", json.dumps({"api": os.environ["API_URL"]}).encode())


def put(bucket: str, key: str, content: bytes) -> None:
    boto3.client("s3").put_object(
        Bucket=bucket,
        Key=key,
        Body=content,
        ContentType=CONTENT_TYPES[Path(key).suffix],
        CacheControl="no-cache",
    )


def empty(bucket: str) -> None:
    s3 = boto3.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        if keys := [{"Key": each["Key"]} for each in page.get("Contents", [])]:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})


def answer(event: dict[str, Any], bucket: str, status: str, reason: str) -> None:
    document = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": f"site-of-{bucket}",
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(
        event["ResponseURL"],
        json.dumps(document).encode(),
        {"Content-Type": ""},  # the URL is signed without one
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=30):
        pass
