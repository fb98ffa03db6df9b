"""Another SAM application on cloudlet: nothing about λShare is hard-wired."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.apps.http_door import HttpDoor
from tests.server import Server

TEMPLATE = Path(__file__).parent / "hello" / "template.yaml"


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=15)
    wake = f"Wake={soon:%Y-%m-%dT%H:%M:%S}"
    server = Server(tmp_path_factory.mktemp("hello") / "data", TEMPLATE, "--no-watch", "-p", wake)
    try:
        yield server.start()
    finally:
        server.stop()


def visits(server: Server, name: str) -> int:
    client = server.client("dynamodb")
    (table,) = client.list_tables()["TableNames"]
    item = client.get_item(TableName=table, Key={"name": {"S": name}}).get("Item", {})
    return int(item.get("visits", {"N": "0"})["N"])


def test_http_api(hello: Server) -> None:
    door = HttpDoor(hello.url)
    for expected in (1, 2):
        answer = door.request("GET", "/hello/J%C3%BCrgen")
        assert answer.status == 200 and answer.headers["x-greeter"] == "1"
        assert answer.json() == {"hello": "Jürgen", "visits": expected}
    assert door.request("GET", "/elsewhere").json() == {"message": "Not Found"}
    assert door.request("POST", "/hello/you").status == 404


def test_s3_event_with_filter(hello: Server) -> None:
    s3 = hello.client("s3")
    (bucket,) = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=bucket, Key="letter.txt", Body=b"no card")
    s3.put_object(Bucket=bucket, Key="birthday.card", Body=b"all the best")
    HttpDoor(hello.url).eventually(lambda: visits(hello, "birthday.card") == 1)
    assert visits(hello, "letter.txt") == 0


def test_schedule(hello: Server) -> None:
    HttpDoor(hello.url).eventually(lambda: visits(hello, "the clock") >= 1)


def test_function_has_no_more_than_its_policies(hello: Server) -> None:
    name = hello.client("lambda").list_functions()["Functions"][0]["FunctionName"]
    role = hello.client("lambda").get_function_configuration(FunctionName=name)["Role"]
    session = hello.client("sts").assume_role
    with pytest.raises(ClientError) as refused:
        session(RoleArn=role, RoleSessionName="somebody")
    error: dict[str, Any] = dict(refused.value.response["Error"])
    assert error["Code"] == "AccessDenied"
    policies = hello.client("iam").list_role_policies(RoleName=role.rpartition("/")[2])
    assert policies["PolicyNames"]
