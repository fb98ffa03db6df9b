"""What the edge keeps, for how long, under which key; compression; invalidations."""

import gzip
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Response
from cloudlet.gateway.cloudfront import edge_cache, invalidations, policies
from cloudlet.gateway.service import GatewayState
from tests.harness import Bench
from tests.unit.gateway.cloud import request
from tests.unit.gateway.test_edge import ask, listed, make

OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"


class Origin:
    """The bucket: what it holds, and how often it was asked."""

    def __init__(self, bench: Bench) -> None:
        self.asked: list[dict[str, Any]] = []
        self.document: dict[str, Any] = {"Body": b"one", "ETag": '"1"', "ContentType": "text/css"}
        self.error: AwsError | None = None
        bench.answers["GetObject"] = self.get

    def get(self, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(params)
        if self.error is not None:
            raise self.error
        if params.get("IfNoneMatch") == self.document["ETag"]:
            raise AwsError("NotModified", "Not Modified", 304)
        return self.document


@pytest.fixture
def origin(bench: Bench) -> Origin:
    return Origin(bench)


def serve(bench: Bench, state: GatewayState, **behavior: Any) -> str:
    settings = {
        "TargetOriginId": "site",
        "ViewerProtocolPolicy": "allow-all",
        "CachePolicyId": OPTIMIZED,
        "Compress": True,
        **behavior,
    }
    return make(bench, state, DefaultCacheBehavior=settings)[0]


def policy(bench: Bench, **parameters: Any) -> str:
    both = {
        "EnableAcceptEncodingGzip": False,
        "HeadersConfig": {"HeaderBehavior": "none"},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
        **parameters,
    }
    config = {
        "Name": "own",
        "MinTTL": 5,
        "DefaultTTL": 50,
        "MaxTTL": 500,
        "ParametersInCacheKeyAndForwardedToOrigin": both,
    }
    made = bench.call(policies.CACHE.create, CachePolicyConfig=config)
    return str(made["CachePolicy"]["Id"])


def get(state: GatewayState, path: str = "/a", **headers: str) -> tuple[str, Response]:
    """`x-cache` in one word, and the answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = ask(state, request("GET", path, named))
    return dict(response.headers)["x-cache"].split()[0], response


def test_hits_and_revalidation(bench: Bench, state: GatewayState, origin: Origin) -> None:
    serve(bench, state)
    origin.document["CacheControl"] = "max-age=60"
    assert get(state)[0] == "Miss"
    bench.clock.advance(10)
    outcome, response = get(state, "/a?other=1")
    assert (outcome, response.body, dict(response.headers)["age"]) == ("Hit", b"one", "10")
    assert ask(state, request("HEAD", "/a")).body == b"" and len(origin.asked) == 1
    outcome, response = get(state, if_none_match='"1"')
    assert (outcome, response.status, response.body) == ("Hit", 304, b"")
    bench.clock.advance(51)
    assert get(state)[0] == "RefreshHit" and origin.asked[-1]["IfNoneMatch"] == '"1"'
    assert get(state)[0] == "Hit" and len(origin.asked) == 2
    bench.clock.advance(61)
    origin.document |= {"Body": b"two", "ETag": '"2"'}
    assert get(state)[1].body == b"two"
    bench.clock.advance(61)
    origin.error = AwsError("InternalError", "no", 500)
    assert get(state)[1].body == b"two"  # rather than an error


@pytest.mark.parametrize(
    ("control", "kept_s"),
    [
        ("", 50),
        ("max-age=20", 20),
        ("max-age=20, s-maxage=30", 30),
        ("max-age=1", 5),
        ("max-age=9999", 500),
        ("no-store", 5),
        ("private, max-age=100", 5),
    ],
)
def test_times(
    bench: Bench, state: GatewayState, origin: Origin, control: str, kept_s: int
) -> None:
    serve(bench, state, CachePolicyId=policy(bench))
    origin.document["CacheControl"] = control
    get(state)
    bench.clock.advance(kept_s - 1)
    assert get(state)[0] == "Hit"
    bench.clock.advance(2)
    assert get(state)[0] == "RefreshHit"


def test_keys(bench: Bench, state: GatewayState, origin: Origin) -> None:
    chosen = policy(
        bench,
        HeadersConfig={"HeaderBehavior": "whitelist", "Headers": listed("X-Kind")},
        CookiesConfig={"CookieBehavior": "whitelist", "Cookies": listed("who")},
        QueryStringsConfig={"QueryStringBehavior": "allExcept", "QueryStrings": listed("utm")},
    )
    serve(bench, state, CachePolicyId=chosen)
    for path, headers, outcome in (
        ("/a?x=1", {}, "Miss"),
        ("/a?x=1&utm=9", {}, "Hit"),
        ("/a?x=2", {}, "Miss"),
        ("/a?x=2", {"x_kind": "b"}, "Miss"),
        ("/a?x=2", {"x_other": "b"}, "Hit"),
        ("/a?x=2", {"cookie": "who=me; a=1"}, "Miss"),
        ("/a?x=2", {"cookie": "a=2; who=me"}, "Hit"),
        ("/b?x=2", {}, "Miss"),
    ):
        assert get(state, path, **headers)[0] == outcome, (path, headers)
    get(state, "/a?x=1", range="bytes=0-1")
    assert origin.asked[-1]["Range"] == "bytes=0-1"  # parts are the origin's


def test_compression(bench: Bench, state: GatewayState, origin: Origin) -> None:
    serve(bench, state)
    origin.document["Body"] = b"a {}\n" * 1000
    outcome, response = get(state, accept_encoding="br, gzip")
    headers = dict(response.headers)
    assert isinstance(response.body, bytes)
    assert gzip.decompress(response.body) == b"a {}\n" * 1000
    assert (headers["content-encoding"], headers["etag"]) == ("gzip", 'W/"1"')
    assert get(state, accept_encoding="gzip", if_none_match='W/"1"')[1].status == 304
    outcome, response = get(state, accept_encoding="gzip;q=0")
    assert outcome == "Miss" and response.body == b"a {}\n" * 1000
    origin.document |= {"ContentType": "image/png", "ETag": '"3"'}
    assert "content-encoding" not in dict(get(state, "/b", accept_encoding="gzip")[1].headers)


def test_errors_are_kept_for_a_while(bench: Bench, state: GatewayState, origin: Origin) -> None:
    serve(bench, state)
    origin.error = AwsError("NoSuchKey", "none", 404)
    assert get(state)[1].status == 404
    origin.error = None
    assert get(state)[1].status == 404
    bench.clock.advance(11)
    assert get(state)[1].status == 200


def test_invalidation(bench: Bench, state: GatewayState, origin: Origin) -> None:
    distribution = serve(bench, state)
    for path in ("/a", "/dir/x", "/dir/y%20z", "/other"):
        get(state, path)

    def invalidate(reference: str, *paths: str) -> dict[str, Any]:
        batch = {"Paths": listed(*paths), "CallerReference": reference}
        made: dict[str, Any] = bench.call(
            invalidations.create_invalidation,
            DistributionId=distribution,
            InvalidationBatch=batch,
        )["Invalidation"]
        return made

    made = invalidate("1", "/a", "/dir/*")
    assert made["Status"] == "Completed" and invalidate("1", "/a", "/dir/*") == made
    outcomes = [get(state, path)[0] for path in ("/a", "/dir/x", "/dir/y%20z", "/other")]
    assert outcomes == ["Miss", "Miss", "Miss", "Hit"]
    found = bench.call(invalidations.list_invalidations, DistributionId=distribution)
    assert [i["Id"] for i in found["InvalidationList"]["Items"]] == [made["Id"]]
    for reference, path, code in (
        ("1", "/b", "InvalidationBatchAlreadyExists"),
        ("2", "b", "InvalidArgument"),
        ("2", "/a*b", "InvalidArgument"),
    ):
        with pytest.raises(AwsError) as refused:
            invalidate(reference, path)
        assert refused.value.code == code


def test_what_was_asked_before_an_invalidation_is_not_kept() -> None:
    cache = edge_cache.EdgeCache()
    mark = cache.mark("d")
    entry = edge_cache.Entry(200, [], b"old", 0, 10)
    cache.invalidate("d", ["/*"])
    cache.put(("d", "/a", "", (), (), False), entry, mark)
    assert cache.get(("d", "/a", "", (), (), False)) is None


def test_the_cache_is_bounded() -> None:
    cache = edge_cache.EdgeCache()
    for number in range(100):
        entry = edge_cache.Entry(200, [], b"x" * (1 << 20), 0, 10)
        cache.put(("d", f"/{number}", "", (), (), False), entry, 0)
    kept = [n for n in range(100) if cache.get(("d", f"/{n}", "", (), (), False))]
    assert kept == list(range(100 - len(kept), 100)) and 25 < len(kept) < 32
