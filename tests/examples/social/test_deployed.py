"""examples/social on a real cloud: its API, its feeds and its pushes, exactly."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key
from jsonschema import Draft4Validator

from tests.examples.conftest import eventually
from tests.examples.social.app import (
    DOCUMENT,
    PASSWORD,
    TRIAL_QUOTA,
    Answer,
    Social,
    encoded,
    session,
)

CROWD = 100


@pytest.fixture(scope="module")
def crowd(social: Social) -> list[str]:
    """As sign-up, follow and registering leave them; put there directly, as they are many."""
    sns, people = social.server.client("sns"), [f"fan_{n:03}" for n in range(CROWD)]
    application = sns.list_platform_applications()["PlatformApplications"][0]
    social.sign_up("idol")
    with social.table.batch_writer() as batch:
        for name in people:
            counts = {"followers": 0, "following": 1, "posts": 0}
            profile = {"pk": f"USER#{name}", "sk": "PROFILE", "handle": name, "name": name}
            batch.put_item(Item={**profile, **counts})
            batch.put_item(Item={"pk": f"USER#{name}", "sk": "FOLLOWS#idol"})
            batch.put_item(Item={"pk": "FOLLOWERS#idol", "sk": name})
            endpoint = sns.create_platform_endpoint(
                PlatformApplicationArn=application["PlatformApplicationArn"], Token=f"of-{name}"
            )["EndpointArn"]
            device = {"pk": f"DEVICE#{name}", "sk": "DEVICE", "place": name, "endpoint": endpoint}
            batch.put_item(Item={**device, "owner": f"DEVICES#{name}", "kind": "device"})
    return people


def _problem(answer: Answer, status: int, title: str) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    assert (answer.status, document["title"]) == (status, title), document
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == status and document["request_id"]
    return document


# --- the document ---


def _schema(operation: dict[str, Any], answer: Answer) -> Any:
    described = operation["responses"][str(answer.status)]
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return (described.get("content") or {}).get(kind, {}).get("schema")


def test_every_operation_answers_as_the_document_says(social: Social) -> None:
    social.sign_up("reader")
    post = social.post("reader", "to be liked")
    names = {"handle": "reader", "id": post, "file": "app.js", "device": "phone-of-writer-1"}
    writer = {"handle": "writer", "password": PASSWORD}
    calls: list[tuple[str, str, str, Any, int]] = [
        ("", "GET", "/", None, 200),
        ("", "GET", "/site/{file}", None, 200),
        ("", "POST", "/users", {**writer, "name": "The Writer"}, 201),
        ("", "POST", "/sessions", writer, 201),
        ("writer", "GET", "/me", None, 200),
        ("writer", "GET", "/users/{handle}", None, 200),
        ("writer", "GET", "/users/{handle}/posts", None, 200),
        ("writer", "PUT", "/users/{handle}/followers/me", None, 204),
        ("writer", "DELETE", "/users/{handle}/followers/me", None, 204),
        ("writer", "POST", "/posts", {"text": "hello"}, 201),
        ("writer", "GET", "/feed", None, 200),
        ("writer", "PUT", "/posts/{id}/likes/me", None, 204),
        ("writer", "DELETE", "/posts/{id}/likes/me", None, 204),
        ("reader", "DELETE", "/posts/{id}", None, 204),
        ("writer", "PUT", "/devices/{device}", {"token": "t"}, 204),
        ("writer", "DELETE", "/devices/{device}", None, 204),
    ]
    called = set()
    for user, verb, template, body, status in calls:
        path, item = template.format(**names), DOCUMENT["paths"][template]
        answer = social.ask(user, verb, path, body)
        assert answer.status == status, (verb, path, answer.data)
        schema = _schema(item[verb.lower()], answer)
        if schema:
            whole = {**schema, "components": DOCUMENT["components"]}
            Draft4Validator(whole).validate(answer.json())
        called.add((verb.lower(), template))
        if "options" in item:
            preflight = social.ask("", "OPTIONS", path, key="")
            assert preflight.status == 204
            assert verb in preflight.headers["access-control-allow-methods"]
            called.add(("options", template))
    described = {(verb, path) for path, item in DOCUMENT["paths"].items() for verb in item}
    assert called == {each for each in described if each[0] != "parameters"}


# --- who may ---


def test_a_user_name_is_taken_once(social: Social) -> None:
    given = {"handle": "twice", "password": PASSWORD}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: social.ask("", "POST", "/users", given), range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    _problem(social.ask("", "POST", "/users", given), 409, "Taken")


def test_wrong_passwords_are_refused_and_not_for_ever(social: Social) -> None:
    social.sign_up("careful")

    def sign_in(password: str, handle: str = "careful") -> Answer:
        return social.ask("", "POST", "/sessions", {"handle": handle, "password": password})

    assert sign_in(PASSWORD).status == 201
    _problem(sign_in("wrong"), 401, "Not signed in")
    assert sign_in(PASSWORD).status == 201  # and the count begins again
    for _ in range(10):
        _problem(sign_in("wrong"), 401, "Not signed in")
    refused = sign_in(PASSWORD)
    _problem(refused, 429, "Too many requests")
    assert 0 < int(refused.headers["retry-after"]) <= 900
    nobody = _problem(sign_in(PASSWORD, "nobody_here"), 401, "Not signed in")
    assert nobody["detail"] == "User name or password is wrong."


def test_sessions_are_ours_and_not_over(social: Social) -> None:
    social.sign_up("holder")
    now, key = int(time.time()), social.signing_key
    good = {"sub": "holder", "exp": now + 600}
    unsigned = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "none"}, good))
    refused = [
        "",
        "Bearer",
        "Bearer x.y.z",
        f"Bearer {unsigned}.",
        f"Bearer {unsigned}.AAAA",
        f"Bearer {session(key, good, 'none')}",
        f"Bearer {session(key, good | {'exp': now - 1})}",
        f"Bearer {session(b'another', good)}",
        f"Basic {session(key, good)}",
    ]
    for value in refused:
        headers = {"authorization": value} if value else {}
        _problem(social.ask("", "GET", "/me", **headers), 401, "Sign in")
    authorization = f"Bearer {session(key, good)}"
    assert social.ask("", "GET", "/me", authorization=authorization).json()["handle"] == "holder"


def test_the_gateway_says_what_it_refuses_as_the_functions_do(social: Social) -> None:
    social.sign_up("tidy")
    _problem(social.ask("tidy", "GET", "/me", key=""), 403, "An API key is needed")
    _problem(social.ask("tidy", "GET", "/me", key="wrong"), 403, "An API key is needed")
    _problem(social.ask("tidy", "GET", "/nowhere"), 404, "Not found")
    _problem(social.ask("tidy", "POST", "/posts", {"words": "?"}), 400, "Bad request")
    _problem(social.ask("tidy", "POST", "/posts", {"text": "x" * 281}), 400, "Bad request")
    _problem(social.ask("tidy", "GET", "/feed?limit=26"), 400, "Bad request")
    _problem(social.ask("tidy", "GET", "/feed?cursor=x"), 400, "Bad request")
    _problem(social.ask("tidy", "GET", "/users/no_one"), 404, "Not found")
    _problem(social.ask("tidy", "PUT", "/users/no_one/followers/me"), 404, "Not found")
    answer = social.ask("tidy", "PUT", "/users/tidy/followers/me")
    _problem(answer, 422, "Not possible")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert social.ask("tidy", "POST", "/posts", {"text": "👩‍👩‍👧‍👦" * 280}).status == 201
    assert social.ask("tidy", "POST", "/posts", {"text": "👍🏽" * 280}).status == 201


def test_trials_are_slow_and_few(social: Social) -> None:
    """The key for trials: two posts at once, then one a second; so many requests a day."""
    social.sign_up("trier")
    keys = social.server.client("apigateway")
    key = keys.get_api_key(apiKey=social.outputs["TrialKey"], includeValue=True)["value"]

    def attempt(_: int) -> str:
        answer = social.ask("trier", "POST", "/posts", {"text": "try"}, key=key)
        title = "" if answer.status == 201 else answer.json()["title"]
        if title:
            _problem(answer, 429, title)
        return str(title)

    with ThreadPoolExecutor(8) as pool:
        seen = Counter(pool.map(attempt, range(8)))
    assert seen["Too many requests"] > 0

    def over() -> bool:
        seen[title := attempt(0)] += 1
        return title == "Quota exceeded"

    eventually(over)
    assert seen[""] == TRIAL_QUOTA
    assert social.ask("trier", "POST", "/posts", {"text": "ours"}).status == 201


# --- follows and likes ---


def test_counters_are_exact_whatever_happens_at_once(social: Social) -> None:
    """50 people follow, unfollow and follow somebody at the same time; every second one leaves."""
    people = [f"busy_{n:02}" for n in range(50)]
    social.sign_up("star")
    with social.table.batch_writer() as batch:
        for name in people:
            counts = {"followers": 0, "following": 0, "posts": 0}
            profile = {"pk": f"USER#{name}", "sk": "PROFILE", "handle": name, "name": name}
            batch.put_item(Item={**profile, **counts})

    def moves(n: int) -> None:
        for verb in ("PUT", "PUT", "DELETE", "DELETE", "PUT", *(["DELETE"] if n % 2 else [])):
            answer = social.ask(people[n], verb, "/users/star/followers/me")
            assert answer.status == 204, answer.data

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(moves, range(50)))
    assert social.ask("star", "GET", "/me").json()["followers"] == 25
    for n in (0, 1):
        assert social.ask(people[n], "GET", "/me").json()["following"] == 1 - n
    edges = social.table.query(KeyConditionExpression=Key("pk").eq("FOLLOWERS#star"))
    assert [item["sk"] for item in edges["Items"]] == people[::2]


def test_likes_count_once_each_and_go_with_the_post(social: Social) -> None:
    people = ["likes_a", "likes_b", "liked"]
    social.sign_up(*people)
    post = social.post("liked", "like me")
    for user in ("likes_a", "likes_a", "likes_b", "likes_b"):
        assert social.ask(user, "PUT", f"/posts/{post}/likes/me").status == 204
    for _ in range(2):
        assert social.ask("likes_b", "DELETE", f"/posts/{post}/likes/me").status == 204
    (seen,) = social.ask("likes_a", "GET", "/users/liked/posts").json()["posts"]
    assert (seen["likes"], seen["liked"]) == (1, True)
    assert social.ask("likes_a", "DELETE", f"/posts/{post}").status == 404  # not theirs
    assert social.ask("liked", "DELETE", f"/posts/{post}").status == 204
    assert social.ask("likes_a", "PUT", f"/posts/{post}/likes/me").status == 404
    left = Key("pk").eq(f"POST#{post}")
    eventually(lambda: social.table.query(KeyConditionExpression=left)["Count"] == 0)
    assert social.ask("liked", "GET", "/me").json()["posts"] == 0


# --- feeds and pushes ---


def test_feeds_have_pages_without_gaps_and_forget_what_is_gone(social: Social) -> None:
    social.sign_up("pager", "source", "noise")
    social.follow("pager", "source", "noise")
    posts = [social.post("source", f"page {n}") for n in range(12)]
    noise = social.post("noise", "…")
    eventually(lambda: len(social.feed("pager")) == 13)
    read, cursor = [], ""
    for _ in count():
        page = social.ask("pager", "GET", f"/feed?limit=5{cursor}").json()
        read += [post["id"] for post in page["posts"]]
        if "next" not in page:
            break
        cursor = f"&cursor={page['next']}"
    assert read == [noise, *reversed(posts)]
    assert social.ask("source", "DELETE", f"/posts/{posts[-1]}").status == 204
    social.ask("pager", "DELETE", "/users/noise/followers/me")
    assert social.feed("pager") == posts[-2::-1]
    social.sign_up("newcomer")
    social.follow("newcomer", "source")
    eventually(lambda: social.feed("newcomer") == posts[-2::-1])


def _delivered(social: Social, post: str) -> Counter[str]:
    wanted = {"FilterExpression": Attr("pk").begins_with("FEED#") & Attr("sk").eq(post)}
    pages = social.table.meta.client.get_paginator("scan").paginate(
        TableName=social.table.name, **wanted
    )
    return Counter(item["pk"] for page in pages for item in page["Items"])


def _invoke(social: Social, function: str, *records: dict[str, Any]) -> None:
    answer = social.server.client("lambda").invoke(
        FunctionName=social.function(function), Payload=json.dumps({"Records": records})
    )
    assert json.load(answer["Payload"]) == {"batchItemFailures": []}


def test_a_post_reaches_all_followers_once_however_often_it_is_told(
    social: Social, crowd: list[str]
) -> None:
    post = social.post("idol", "hello crowd")
    feeds = {f"FEED#{name}": 1 for name in [*crowd, "idol"]}
    devices = {f"of-{name}": 1 for name in crowd}
    eventually(lambda: len(social.pushes("hello crowd")) >= CROWD)
    eventually(lambda: _delivered(social, post) == feeds)
    assert Counter(social.pushes("hello crowd")) == devices
    chunk = {"kind": "news", "author": "idol", "posts": [post], "feeds": crowd}
    image = {"kind": {"S": "post"}, "author": {"S": "idol"}, "place": {"S": post}}
    of_table = {"eventID": "again", "eventName": "INSERT"}
    _invoke(social, "FanoutFunction", {**of_table, "dynamodb": {"NewImage": image}})
    _invoke(social, "DeliverFunction", {"messageId": "again", "body": json.dumps(chunk)})
    pushed = [
        {"dynamodb": {"Keys": {"pk": {"S": f"FEED#{name}"}, "sk": {"S": post}}}} for name in crowd
    ]
    _invoke(social, "PushFunction", *pushed)
    social.follow("idol", crowd[0])
    social.follow(crowd[1], crowd[0])
    social.post(crowd[0], "what a crowd")  # comes after what was told again
    eventually(lambda: social.pushes("what a crowd") == [f"of-{crowd[1]}"])
    assert _delivered(social, post) == feeds
    assert Counter(social.pushes("hello crowd")) == devices
    failures = social.server.client("sqs").get_queue_attributes(
        QueueUrl=social.outputs["Failures"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert failures["Attributes"]["ApproximateNumberOfMessages"] == "0"


def test_what_is_posted_at_the_moment_of_following_is_news(social: Social) -> None:
    """And what was posted before is not: it is in the feed, and nothing is pushed."""
    authors = [f"prompt_{n}" for n in range(5)]
    social.sign_up("eager", *authors)
    body = {"token": "eager"}
    assert social.ask("eager", "PUT", "/devices/phone-of-eager-1", body).status == 204
    for author in authors:
        social.post(author, "long before")
    for author in authors:
        social.follow("eager", author)
        social.post(author, f"now {author}")
    eventually(lambda: len(social.feed("eager")) == 10)
    for author in authors:
        eventually(lambda text=f"now {author}": social.pushes(text) == ["eager"])
    assert social.pushes("long before") == []


def test_who_has_no_app_any_more_is_forgotten(social: Social) -> None:
    social.sign_up("speaker", "listener")
    social.follow("listener", "speaker")
    sns = social.server.client("sns")
    for n in (1, 2):
        path, body = f"/devices/phone-{n}-of-listener", {"token": f"listener-{n}"}
        assert social.ask("listener", "PUT", path, body).status == 204
    key = {"pk": "DEVICE#phone-1-of-listener", "sk": "DEVICE"}
    endpoint = social.table.get_item(Key=key)["Item"]["endpoint"]
    sns.set_endpoint_attributes(EndpointArn=endpoint, Attributes={"Enabled": "false"})
    social.post("speaker", "who listens?")
    eventually(lambda: "Item" not in social.table.get_item(Key=key))
    eventually(lambda: social.pushes("who listens?") == ["listener-2"])
    with pytest.raises(sns.exceptions.NotFoundException):
        sns.get_endpoint_attributes(EndpointArn=endpoint)
    again = social.ask("listener", "PUT", "/devices/phone-1-of-listener", {"token": "listener-1"})
    assert again.status == 204
    social.post("speaker", "welcome back")
    eventually(lambda: sorted(social.pushes("welcome back")) == ["listener-1", "listener-2"])


def test_a_phone_belongs_to_who_signed_in_last(social: Social) -> None:
    social.sign_up("giver", "taker", "caller")
    for user in ("giver", "taker"):
        social.follow(user, "caller")
        path = "/devices/phone-that-is-sold"
        assert social.ask(user, "PUT", path, {"token": "sold"}).status == 204
    assert social.ask("giver", "DELETE", "/devices/phone-that-is-sold").status == 204  # not theirs
    social.post("caller", "one ring")
    eventually(lambda: social.pushes("one ring"))
    owner = social.table.get_item(Key={"pk": "DEVICE#phone-that-is-sold", "sk": "DEVICE"})["Item"]
    assert owner["owner"] == "DEVICES#taker"
    assert social.pushes("one ring") == ["sold"]
