"""Server access logs: configured, recorded and delivered."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudlet.s3.bucket import owner_id
from tests.server import Server

ACCOUNT = "000000000000"
FIELD = re.compile(r'\[[^]]*\]|"[^"]*"|\S+')


def allow(s3: Any, target: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    s3.put_bucket_policy(Bucket=target, Policy=policy)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("logs") / "data").start()
    yield server
    server.stop()


def turn_on(s3: Any, bucket: str, **more: Any) -> None:
    wanted = {"TargetBucket": "logs", "TargetPrefix": f"{bucket}/", **more}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": wanted})


def test_requests_become_lines(server: Server) -> None:
    """s3-079: a target that lets nothing in is taken all the same; its logs are lost."""
    s3 = server.client("s3")
    for name in ("shop", "quiet", "parted", "logs", "shut"):
        s3.create_bucket(Bucket=name)
    allow(s3, "logs")
    turn_on(s3, "shop")
    turn_on(s3, "parted", TargetObjectKeyFormat={"PartitionedPrefix": {}})
    turn_on(s3, "quiet", TargetBucket="shut")
    assert s3.get_bucket_logging(Bucket="shop")["LoggingEnabled"]["TargetBucket"] == "logs"
    s3.put_object(Bucket="shop", Key="a b", Body=b"12345")
    s3.get_object(Bucket="shop", Key="a b", Range="bytes=0-1")["Body"].read()
    s3.list_objects_v2(Bucket="shop")
    with pytest.raises(ClientError):
        s3.get_object(Bucket="shop", Key="missing")
    server.http.request("GET", f"{server.endpoint}/shop/a%20b", headers={"Referer": "http://x"})
    s3.list_objects_v2(Bucket="parted")
    s3.list_objects_v2(Bucket="quiet")
    server.stop()  # delivers
    server.start()
    found = {
        each["Key"]: s3.get_object(Bucket="logs", Key=each["Key"])["Body"].read().decode()
        for each in s3.list_objects_v2(Bucket="logs")["Contents"]
    }
    name = r"\d{4}(-\d\d){5}-[0-9A-F]{16}"
    shop = [key for key in sorted(found) if re.fullmatch(f"shop/{name}", key)]
    parted = rf"parted/{ACCOUNT}/us-east-1/parted(/\d+){{3}}/{name}"
    assert [key for key in found if re.fullmatch(parted, key)] == [*(found.keys() - shop)]
    lines = [FIELD.findall(line) for key in shop for line in found[key].splitlines()]
    assert {len(line) for line in lines} == {26}
    told = [(line[6], line[7], line[9], line[10], line[11], line[12]) for line in lines]
    assert told[-5:] == [
        ("REST.PUT.OBJECT", "a%20b", "200", "-", "-", told[-5][5]),
        ("REST.GET.OBJECT", "a%20b", "206", "-", "2", "5"),
        ("REST.GET.BUCKET", "-", "200", "-", told[-3][4], "-"),
        ("REST.GET.OBJECT", "missing", "404", "NoSuchKey", told[-2][4], told[-2][5]),
        ("REST.GET.OBJECT", "a%20b", "403", "AccessDenied", told[-1][4], told[-1][5]),
    ]
    mine, stranger = lines[-5], lines[-1]
    assert (mine[0], mine[1], mine[4]) == (owner_id(ACCOUNT), "shop", owner_id(ACCOUNT))
    assert mine[19:22] == ["SigV4", "-", "AuthHeader"]
    assert (stranger[4], stranger[15], stranger[19]) == ("-", '"http://x"', "-")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"TargetBucket": "not-there"}, "InvalidTargetBucketForLogging"),
        ({"TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "x"}}},
         "MalformedXML"),
        ({"TargetGrants": [{"Permission": "READ", "Grantee": {"Type": "Group", "URI": "u"}}]},
         "InvalidArgument"),
    ],
)  # fmt: skip
def test_what_is_refused(server: Server, changes: dict[str, Any], code: str) -> None:
    s3 = server.client("s3")
    for name in ("logs", "checked"):
        s3.create_bucket(Bucket=name)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="checked")
    with pytest.raises(ClientError) as caught:
        turn_on(s3, "checked", **changes)
    assert caught.value.response["Error"]["Code"] == code


def test_logs_are_turned_off(server: Server, tmp_path: Path) -> None:
    s3 = server.client("s3")
    for name in ("logs", "off"):
        s3.create_bucket(Bucket=name)
    turn_on(s3, "off")
    s3.put_bucket_logging(Bucket="off", BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="off")
