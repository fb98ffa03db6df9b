"""examples/social: what its functions decide, without a cloud."""

import base64
import hashlib
import hmac
import json
from types import ModuleType
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.examples.conftest import EXAMPLES, Load
from tests.examples.social.app import DOCUMENT

KEY = b"k" * 32
NOW = 1_800_000_000


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"AWS_DEFAULT_REGION": "us-east-1", "TABLE": "t", "QUEUE": "q", "PASSWORD_COST": "10"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def _token(header: Any, claims: Any, key: bytes = KEY) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (header, claims)
    ]
    signed = ".".join(parts)
    signature = hmac.digest(key, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


HS256 = {"alg": "HS256", "typ": "JWT"}
GOOD = {"sub": "ada", "exp": NOW + 1}
UNSIGNED = _token({"alg": "none"}, GOOD).rpartition(".")[0] + "."


@pytest.mark.parametrize(
    ("token", "user"),
    [
        (_token(HS256, GOOD), "ada"),
        (_token(HS256, GOOD | {"exp": NOW}), None),
        (_token(HS256, {"sub": "ada"}), None),
        (_token(HS256, GOOD, b"another key"), None),
        (_token({"alg": "none"}, GOOD), None),
        (_token({"alg": "HS512"}, GOOD), None),
        (_token([], GOOD), None),
        (_token(HS256, []), None),
        (UNSIGNED, None),
        ("a.b", None),
        ("a.b.c.d", None),
        ("é.é.é", None),
        ("", None),
    ],
)
def test_only_sessions_with_our_signature_and_time_left_are_anybodys(
    load: Load, token: str, user: str | None
) -> None:
    assert load("social/authorizer").user_of(token, KEY, NOW) == user


def test_a_verdict_is_good_for_the_whole_stage(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    app = load("social/authorizer")
    monkeypatch.setattr(app, "key", lambda: KEY)
    token = _token(HS256, {"sub": "ada", "exp": 10**11})
    arn = "arn:aws:execute-api:us-east-1:000000000000:api/v1/GET/feed"
    event = {"authorizationToken": f"Bearer {token}", "methodArn": arn}
    verdict = app.handler(event, None)
    assert verdict["context"] == {"handle": "ada"}
    assert verdict["policyDocument"]["Statement"][0]["Resource"].endswith(":api/v1/*")
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        app.handler(event | {"authorizationToken": token}, None)


def test_passwords_have_salts_and_keep_their_costs(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = load("social/api", "passwords")
    kept = passwords.hashed("correct horse battery")
    assert kept != passwords.hashed("correct horse battery")
    monkeypatch.setenv("PASSWORD_COST", "11")
    assert passwords.is_right("correct horse battery", kept)
    assert not passwords.is_right("wrong horse battery", kept)
    assert not passwords.is_right("correct horse battery", None)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("abc", 3),
        ("e\u0301", 1),
        ("👍🏽", 1),
        ("👩‍👩‍👧‍👦!", 2),
        ("🇨🇭🇫🇷", 2),
        ("❤️", 1),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", 1),
        ("한국", 2),
    ],
)
def test_graphemes_are_what_people_count(load: Load, text: str, count: int) -> None:
    assert load("social/api", "texts").graphemes(text) == count


def test_texts_are_tidied(load: Load) -> None:
    cleaned = load("social/api", "texts").cleaned
    assert cleaned("  a\x00\x1b[1mb\r\nc\ud800 ") == "a[1mb\nc"


def test_ids_sort_by_time_and_tell_it(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, deliver = load("social/api", "ids"), load("social/deliver")
    moments = iter((1_795_000_000_000, 1_795_000_000_001))
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(moments) * 1_000_000)
    first, second = ids.new(), ids.new()
    assert first < second and ids.is_one(first) and not ids.is_one(first.lower())
    assert ids.moment_ms(second) == 1_795_000_000_001
    assert deliver.posted_s(second) == 1_795_000_000


def _body(app: ModuleType, body: str) -> tuple[int, dict[str, Any]]:
    event = {
        "httpMethod": "POST",
        "resource": "/users",
        "requestContext": {"requestId": "r"},
        "body": body,
    }
    answer = app.handler(event, None)
    assert answer["headers"]["content-type"] == "application/problem+json"
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "{", '{"handle": 1}', '{"x": "y"}', '{"name": "\\ud800"}', '{"handle": "A-b"}',
        '{"handle": "ada", "password": "short"}',
    ],
)  # fmt: skip
def test_what_the_gateway_lets_through_is_checked_again(load: Load, body: str) -> None:
    status, problem = _body(load("social/api"), body)
    assert (status, problem["title"], problem["request_id"]) == (400, "Bad request", "r")
    assert problem["detail"]


class Table:
    """Answers queries a page at a time, and remembers what was asked of it."""

    def __init__(self, *pages: list[dict[str, Any]]) -> None:
        self.pages = list(pages)
        self.deleted: list[Any] = []
        self.claims: set[str] = set()

    def query(self, **_query: Any) -> dict[str, Any]:
        found = {"Items": self.pages.pop(0)}
        return found | ({"LastEvaluatedKey": {"pk": "x"}} if self.pages else {})


def test_a_crowd_of_followers_is_many_messages(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    app = load("social/fanout")
    crowd = [f"f{n:04}" for n in range(1234)]
    pages = [[{"sk": name} for name in crowd[at : at + 700]] for at in (0, 700)]
    sent: list[dict[str, Any]] = []

    def send(QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        assert QueueUrl == "q" and len(Entries) <= 10
        sent.extend(json.loads(entry["MessageBody"]) for entry in Entries)
        return {}

    monkeypatch.setattr(app, "table", Table(*pages))
    monkeypatch.setattr(app.sqs, "send_message_batch", send)
    image = {"kind": {"S": "post"}, "author": {"S": "ada"}, "place": {"S": "P"}}
    record = {"eventID": "1", "eventName": "INSERT", "dynamodb": {"NewImage": image}}
    assert app.handler({"Records": [record]}, None) == {"batchItemFailures": []}
    assert [len(chunk["feeds"]) for chunk in sent] == [100] * 12 + [34]
    assert [name for chunk in sent for name in chunk["feeds"]] == crowd
    assert {(chunk["author"], *chunk["posts"]) for chunk in sent} == {("ada", "P")}


def test_what_fails_comes_again_from_there_on(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    app = load("social/fanout")
    seen = []

    def handle(record: dict[str, Any]) -> None:
        seen.append(record["eventID"])
        if record["eventID"] == "2":
            raise RuntimeError

    monkeypatch.setattr(app, "handle", handle)
    records = [{"eventID": n, "dynamodb": {"SequenceNumber": f"s{n}"}} for n in "123"]
    answer = app.handler({"Records": records}, None)
    assert (seen, answer["batchItemFailures"]) == (["1", "2"], [{"itemIdentifier": "s2"}])


def test_the_same_chunk_makes_the_same_items(load: Load) -> None:
    app = load("social/deliver")
    post = "01K8XXXXXXAAAAAAAAAAAAAAAA"
    chunk = {"kind": "news", "author": "ada", "posts": [post], "feeds": ["bob", "eve"]}
    assert list(app.items(chunk)) == list(app.items(chunk))
    assert [item["pk"] for item in app.items(chunk)] == ["FEED#bob", "FEED#eve"]


def test_a_push_that_fails_gives_its_claim_back(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    app = load("social/push")
    claims: set[str] = set()

    class Devices(Table):
        def query(self, **_query: Any) -> dict[str, Any]:
            return {"Items": [{"place": "phone", "endpoint": "arn:e", "pk": "D", "sk": "D"}]}

        def delete_item(self, Key: dict[str, str]) -> None:
            claims.remove(Key["pk"])

    def claimed(claim: dict[str, str]) -> bool:
        is_new = claim["pk"] not in claims
        claims.add(claim["pk"])
        return is_new

    pushed = []

    def publish(**message: Any) -> None:
        pushed.append(message)
        if len(pushed) == 1:
            raise ClientError({"Error": {"Code": "Throttled"}}, "Publish")

    monkeypatch.setattr(app, "table", Devices())
    monkeypatch.setattr(app, "claimed", claimed)
    monkeypatch.setattr(app.sns, "publish", publish)
    post = {"author": "ada", "text": "x" * 200, "place": "P"}
    with pytest.raises(ClientError):
        app.tell("bob", post)
    app.tell("bob", post)
    app.tell("bob", post)
    assert len(pushed) == 2
    firebase = json.loads(json.loads(pushed[1]["Message"])["GCM"])
    assert firebase["notification"] == {"title": "@ada", "body": "x" * 120 + "…"}


def test_the_society_is_the_same_each_time_and_unequal(load: Load) -> None:
    simulate = load("social", "simulate")
    made = simulate.society(1, 60, 5, 100)
    assert made == simulate.society(1, 60, 5, 100) != simulate.society(2, 60, 5, 100)
    assert len(set(made.people)) == 60 and len(set(made.follows)) == len(made.follows)
    followers = sorted(sum(edge[1] == person for edge in made.follows) for person in made.people)
    assert followers[-1] > 3 * followers[30]


def test_the_document_is_valid_and_names_every_route(load: Load) -> None:
    validate(DOCUMENT)
    described = {
        f"{verb.upper()} {path}"
        for path, item in DOCUMENT["paths"].items()
        for verb in item.keys() - {"parameters", "options"}
    }
    assert described == load("social/api").ROUTES.keys() | {"GET /", "GET /site/{file}"}


def test_the_page_sets_no_markup() -> None:
    for script in (EXAMPLES / "social/site").glob("*.js"):
        text = script.read_text()
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in text, (script.name, way)
