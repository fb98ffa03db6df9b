"""What a hostile function may not do with its answer: each of these is a 500 of the gateway."""

from typing import Any

import orjson
import pytest

from cloudlet.gateway.payloads import MalformedAnswer, response


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 100},  # an interim answer: the next one on the connection would be taken
        {"statusCode": 101},  # for this one's, or a proxy would open a tunnel
        {"statusCode": 199},
        {"statusCode": 600},
        {"statusCode": 200, "headers": {"X": "a\r\nSet-Cookie: evil=1"}},
        {"statusCode": 200, "headers": {"X\r\nSet-Cookie": "evil=1"}},
        {"statusCode": 200, "headers": {"X Y": "a"}},
        {"statusCode": 200, "headers": {"X:": "a"}},
        {"statusCode": 200, "headers": {"": "a"}},
        {"statusCode": 200, "headers": {"é": "a"}},
        {"statusCode": 200, "cookies": "a=b"},
        {"statusCode": 200, "cookies": ["a=b\nX: y"]},
    ],
)
def test_malformed_answers_are_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        response(orjson.dumps(answer), "2.0")


def test_lengths_and_codings_are_not_the_functions_to_say() -> None:
    headers = {"Content-Length": "500", "Transfer-Encoding": "chunked"}
    answer = response(orjson.dumps({"statusCode": 200, "headers": headers, "body": "x"}), "2.0")
    names = {name for name, _ in answer.headers}
    assert not names & {"content-length", "transfer-encoding"}
    assert answer.body == b"x"
