"""Reads by other processes: whoever answers, the answers are the same, and as fresh."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from bench import load
from botocore.exceptions import ClientError

from tests.conformance.building import allow, eventually, policy
from tests.lines import (
    KEY,
    NAME,
    Line,
    ReaderServer,
    connections_of,
    has_reader,
    make_table,
    readers,
)
from tests.server import Server


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a reader."""
    server = ReaderServer(tmp_path_factory.mktemp("readers") / "data").start()
    make_table(server, NAME)
    server.client("dynamodb").put_item(TableName=NAME, Item={**KEY, "n": {"N": "0"}})
    server.client("s3").create_bucket(Bucket=NAME)
    server.client("s3").put_object(Bucket=NAME, Key="small", Body=b"small")
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-4000:]


@pytest.fixture
def line(busy: Server) -> Iterator[Line]:
    """A connection that a reader has."""
    pid = has_reader(busy)
    eventually(lambda: connections_of(pid) == 0)
    line, other = Line(busy), Line(busy)  # one of them is served there, one here
    request = line.item(Key=KEY)

    def is_there() -> bool:
        assert line.ask(request)[0] == other.ask(request)[0] == 200
        return connections_of(pid) > 0

    eventually(is_there)
    yield line
    line.close()
    other.close()


def test_reads_are_as_fresh_as_the_last_write(busy: Server, line: Line) -> None:
    table = busy.client("dynamodb")
    for number in range(50):
        table.put_item(TableName=NAME, Item={**KEY, "n": {"N": str(number)}})
        status, body = line.ask(line.item(Key=KEY))
        assert (status, json.loads(body)["Item"]["n"]["N"]) == (200, str(number))
    table.delete_item(TableName=NAME, Key=KEY)
    assert line.ask(line.item(Key=KEY)) == (200, b"{}")
    table.put_item(TableName=NAME, Item={**KEY, "n": {"N": "0"}})


def test_a_connection_may_do_anything(busy: Server, line: Line) -> None:
    """Writes, refusals, contents of files, listings, requests that come together: in order."""
    big = os.urandom(3 << 20)
    busy.client("s3").put_object(Bucket=NAME, Key="big", Body=big)
    small = line.request("s3", "GET", f"/{NAME}/small")
    query = {
        "KeyConditionExpression": "k = :k",
        "ExpressionAttributeValues": {":k": KEY["k"]},
    }
    for _ in range(3):
        assert line.ask(small) == (200, b"small")
        assert line.ask(line.request("s3", "GET", f"/{NAME}/big")) == (200, big)
        assert line.ask(line.request("s3", "GET", f"/{NAME}/none"))[0] == 404
        put = {**KEY, "n": {"N": "7"}}
        assert line.ask(line.item("PutItem", Item=put)) == (200, b"{}")
        for _ in range(40):
            status, body = line.ask(line.item("Query", **query))
            assert (status, json.loads(body)["Count"]) == (200, 1)
        assert line.ask(line.item(Key=KEY).replace(b"Signature=", b"Signature=0"))[0] == 400
        assert b"<Key>small</Key>" in line.ask(line.request("s3", "GET", f"/{NAME}?list-type=2"))[1]
    line.socket.sendall(small * 20 + line.item("PutItem", Item=put) + small)
    answers = [line.answer() for _ in range(22)]
    assert answers == [(200, b"small")] * 20 + [(200, b"{}"), (200, b"small")]
    halves = line.item(Key=KEY)
    for place in (10, len(halves) // 2, len(halves) - 1):
        line.socket.sendall(halves[:place])
        assert line.ask(halves[place:])[0] == 200


def test_writes_that_readers_take_in(busy: Server) -> None:
    """Each counts once, refusals tell what they always tell, and all is read at once."""
    pid = has_reader(busy)
    make_table(busy, "written")
    lines = [Line(busy) for _ in range(8)]
    per_line, seen = 60, set[int]()

    def write(number: int) -> None:
        line = lines[number]
        table = {"TableName": "written", "Key": {"k": {"S": "sum"}}}
        add = {"ExpressionAttributeValues": {":n": {"N": "1"}}, "UpdateExpression": "ADD n :n"}
        update = line.item("UpdateItem", **table, **add)
        own = {"k": {"S": f"own-{number}"}, "b": {"B": "AAE="}, "e": {"M": {"x": {"NULL": True}}}}
        once = {"ConditionExpression": "attribute_not_exists(k)"}
        once["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        for turn in range(per_line):
            assert line.ask(update) == (200, b"{}")
            status, body = line.ask(line.item("PutItem", TableName="written", Item=own, **once))
            if turn:
                told = json.loads(body)
                assert (status, told["Item"]) == (400, own), body
                assert told["__type"].endswith("#ConditionalCheckFailedException")
            seen.add(connections_of(pid))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(lines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seen) > 0  # some came by the reader
    key = {"TableName": "written", "Key": {"k": {"S": "sum"}}}
    for line in lines:
        body = json.loads(line.ask(line.item(**key))[1])
        assert body["Item"]["n"] == {"N": str(per_line * len(lines))}
    for line in lines:
        line.close()


def test_what_is_taken_away_is_gone_at_once(busy: Server) -> None:
    iam, s3 = busy.client("iam"), busy.client("s3")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    may = policy(allow(["dynamodb:GetItem", "s3:GetObject"], "*"))
    has_reader(busy)
    line = Line(busy)
    line.request = lambda service, method, path, **more: load.signed(  # type: ignore[method-assign]
        busy.endpoint, (key["AccessKeyId"], key["SecretAccessKey"]), service, method, path, **more
    )
    small, item = line.request("s3", "GET", f"/{NAME}/small"), line.item(Key=KEY)
    for _ in range(5):
        iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=may)
        assert {line.ask(item)[0] for _ in range(20)} == {line.ask(small)[0]} == {200}
        iam.delete_user_policy(UserName="u", PolicyName="p")
        assert (line.ask(item)[0], line.ask(small)[0]) == (400, 403)
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=may)
    assert {line.ask(small)[0] for _ in range(20)} == {200}
    deny = {**allow("s3:GetObject", f"arn:aws:s3:::{NAME}/*"), "Effect": "Deny", "Principal": "*"}
    s3.put_bucket_policy(Bucket=NAME, Policy=policy(deny))
    assert line.ask(small)[0] == 403
    s3.delete_bucket_policy(Bucket=NAME)
    assert {line.ask(small)[0] for _ in range(20)} == {200}
    iam.update_access_key(UserName="u", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert line.ask(small)[0] == 403
    line.close()


def total(server: Server, namespace: str, name: str, **dimensions: str) -> float:
    now_s = int(time.time())
    points = server.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now_s - 3600,
        EndTime=now_s + 60,
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def test_what_readers_measure_is_told(busy: Server, line: Line) -> None:
    make_table(busy, "measured")
    for _ in range(100):
        line.ask(line.item(TableName="measured", Key=KEY, ConsistentRead=True))
    place = "AWS/DynamoDB", "ConsumedReadCapacityUnits"
    eventually(lambda: total(busy, *place, TableName="measured") == 100)


def test_where_requests_are_recorded_none_is_missed(busy: Server, line: Line) -> None:
    small = line.request("s3", "GET", f"/{NAME}/small")
    assert line.ask(small) == (200, b"small")
    every = {"Bucket": NAME, "Id": "all"}
    busy.client("s3").put_bucket_metrics_configuration(**every, MetricsConfiguration={"Id": "all"})
    for _ in range(30):
        assert line.ask(small) == (200, b"small")
    busy.client("s3").delete_bucket_metrics_configuration(**every)
    place = {"BucketName": NAME, "FilterId": "all"}
    eventually(lambda: total(busy, "AWS/S3", "GetRequests", **place) == 30)


def test_a_reader_may_die(busy: Server, line: Line) -> None:
    (pid,) = readers(busy)
    os.kill(pid, signal.SIGKILL)
    with suppress(OSError, IndexError):
        line.ask(line.item(Key=KEY))
    with closing(Line(busy)) as another:
        assert another.ask(another.item(Key=KEY))[0] == 200
    eventually(lambda: not readers(busy))
    busy.client("s3").put_object(Bucket=NAME, Key="after", Body=b"")


def test_without_its_server_a_reader_ends(tmp_path: Path, busy: Server) -> None:
    pid = has_reader(busy)
    busy.kill()
    eventually(lambda: not Path(f"/proc/{pid}").exists() or _is_over(pid))
    busy.start()
    with pytest.raises(ClientError):
        busy.client("s3").head_object(Bucket=NAME, Key="none")


def _is_over(pid: int) -> bool:
    """A zombie, where nobody reaps it."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True
