"""Distributions and the edge: behaviors, S3 origins, API origins, error pages, headers."""

import asyncio
import hashlib
from typing import Any

import pytest

from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Request, Response
from cloudlet.gateway.cloudfront import behaviors, distributions, policies
from cloudlet.gateway.http_apis import resources
from cloudlet.gateway.service import GatewayState
from tests.harness import Bench
from tests.unit.gateway.cloud import add_route, answers, event, make_api, request

NO_CACHE = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_BUT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
SECURITY = "67f7725c-6f97-4210-82d7-5512b31e9d03"
METHODS = {"Quantity": 7, "Items": ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]}


def listed(*values: Any) -> dict[str, Any]:
    return {"Quantity": len(values), "Items": list(values)}


def make(bench: Bench, state: GatewayState, **options: Any) -> tuple[str, str]:
    """A site in a bucket and an API below /v1; answers (distribution id, API id)."""
    api_id = make_api(bench)
    add_route(bench, api_id, "ANY /v1/{proxy+}")
    bench.call(resources.STAGE.create, ApiId=api_id, StageName="$default", AutoDeploy=True)
    bench.state = state.edge
    control = bench.call(
        policies.ACCESS.create,
        OriginAccessControlConfig={
            "Name": "site",
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        },
    )["OriginAccessControl"]["Id"]
    origins = listed(
        {
            "Id": "site",
            "DomainName": "site.s3.us-east-1.amazonaws.com",
            "OriginAccessControlId": control,
            "S3OriginConfig": {"OriginAccessIdentity": ""},
        },
        {"Id": "api", "DomainName": f"{api_id}.execute-api.us-east-1.amazonaws.com"},
    )
    api_behavior = {
        "PathPattern": "/v1/*",
        "TargetOriginId": "api",
        "ViewerProtocolPolicy": "redirect-to-https",
        "CachePolicyId": NO_CACHE,
        "OriginRequestPolicyId": ALL_BUT_HOST,
        "AllowedMethods": METHODS,
    }
    config = {
        "CallerReference": "one",
        "Comment": "",
        "Enabled": True,
        "DefaultRootObject": "index.html",
        "Origins": origins,
        "CacheBehaviors": listed(api_behavior),
        "DefaultCacheBehavior": {
            "TargetOriginId": "site",
            "ViewerProtocolPolicy": "allow-all",
            "CachePolicyId": NO_CACHE,
            "ResponseHeadersPolicyId": SECURITY,
        },
        **options,
    }
    made = bench.call(distributions.create_distribution, DistributionConfig=config)
    return made["Distribution"]["Id"], api_id


def ask(state: GatewayState, asked: Request) -> Response:
    return asyncio.run(state.edge.answer(asked))


def test_nothing_deployed(bench: Bench, state: GatewayState) -> None:
    plain = ask(state, request("GET", "/"))
    assert plain.status == 503
    page = ask(state, request("GET", "/", {"accept": "text/html"}))
    assert isinstance(page.body, bytes)
    assert b"Nothing that is deployed here answers" in page.body


def test_only_api(bench: Bench, state: GatewayState) -> None:
    api_id = make_api(bench)
    add_route(bench, api_id, "$default")
    bench.call(resources.STAGE.create, ApiId=api_id, StageName="$default", AutoDeploy=True)
    answers(bench, "hello")
    assert ask(state, request("GET", "/")).body == b"hello"


def test_site(bench: Bench, state: GatewayState, caplog: pytest.LogCaptureFixture) -> None:
    make(bench, state)
    bench.answers["GetObject"] = {
        "Body": b"<html>",
        "ContentType": "text/html",
        "ETag": '"e"',
        "ContentLength": 6,
        "LastModified": 1_795_000_000,
    }
    response = ask(state, request("GET", "/?x=1", {"range": "bytes=0-1", "if-none-match": '"q"'}))
    assert response.body == b"<html>"
    headers = dict(response.headers)
    assert headers["etag"] == '"e"'
    assert headers["last-modified"] == "Wed, 18 Nov 2026 11:06:40 GMT"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-cache"] == "Miss from cloudfront"
    params = bench.invoked[-1][2]
    assert params == {
        "Bucket": "site",
        "Key": "index.html",
        "Range": "bytes=0-1",
        "IfNoneMatch": '"q"',
    }
    assert not caplog.records  # it redirects to HTTPS, says the distribution: not here


def test_api_below_a_pattern(bench: Bench, state: GatewayState) -> None:
    _, api_id = make(bench, state)
    answers(bench, {"statusCode": 200, "body": "x"})
    headers = {"host": "share.example", "cookie": "a=1", "authorization": "Bearer b"}
    response = ask(state, request("POST", "/v1/shares?n=1", headers, b"{}"))
    assert response.status == 200
    sent = event(bench)
    assert sent["rawPath"] == "/v1/shares"
    assert sent["queryStringParameters"] == {"n": "1"}
    assert sent["cookies"] == ["a=1"]
    assert sent["headers"]["host"] == f"{api_id}.execute-api.us-east-1.amazonaws.com"
    assert sent["headers"]["authorization"] == "Bearer b"
    assert sent["requestContext"]["http"]["sourceIp"] == "10.0.0.9"


def test_methods_are_limited(bench: Bench, state: GatewayState) -> None:
    make(bench, state)
    assert ask(state, request("POST", "/page")).status == 403
    assert bench.invoked == []


def test_s3_errors_and_error_pages(bench: Bench, state: GatewayState) -> None:
    errors = listed({"ErrorCode": 404, "ResponsePagePath": "/404.html", "ResponseCode": "200"})
    make(bench, state, CustomErrorResponses=errors)

    def get(params: Any) -> Any:
        if params["Key"] == "404.html":
            return {"Body": b"page", "ContentType": "text/html"}
        if params["Key"] == "same":
            raise AwsError("NotModified", "Not Modified", 304)
        code = ("AccessDenied", 403) if params["Key"] == "secret" else ("NoSuchKey", 404)
        raise AwsError(code[0], "no", code[1])

    bench.answers["GetObject"] = get
    page = ask(state, request("GET", "/missing", {"range": "bytes=0-0"}))
    assert (page.status, page.body) == (200, b"page")
    refused = ask(state, request("GET", "/secret"))
    assert refused.status == 403
    assert isinstance(refused.body, bytes)
    assert b"<Code>AccessDenied</Code>" in refused.body
    same = ask(state, request("GET", "/same"))
    assert (same.status, same.body) == (304, b"")


def test_update_and_delete(bench: Bench, state: GatewayState) -> None:
    identifier, _ = make(bench, state)
    found = bench.call(distributions.get_distribution_config, Id=identifier)
    config = {**found["DistributionConfig"], "Enabled": False}
    with pytest.raises(AwsError) as unconditional:
        bench.call(distributions.update_distribution, Id=identifier, DistributionConfig=config)
    assert unconditional.value.code == "InvalidIfMatchVersion"
    with pytest.raises(AwsError) as active:
        bench.call(distributions.delete_distribution, Id=identifier, IfMatch=found["ETag"])
    assert active.value.code == "DistributionNotDisabled"
    updated = bench.call(
        distributions.update_distribution,
        Id=identifier,
        DistributionConfig=config,
        IfMatch=found["ETag"],
    )
    with pytest.raises(AwsError) as stale:
        bench.call(distributions.delete_distribution, Id=identifier, IfMatch=found["ETag"])
    assert stale.value.status == 412
    bench.call(distributions.delete_distribution, Id=identifier, IfMatch=updated["ETag"])
    listing = bench.call(distributions.list_distributions)["DistributionList"]
    assert listing["Quantity"] == 0


def test_refused_options(bench: Bench, state: GatewayState) -> None:
    with pytest.raises(NotImplementedByCloudlet):
        make(bench, state, WebACLId="arn:aws:wafv2:x")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/v1/*", "/v1/a/b", True),
        ("/v1/*", "/v1", False),
        ("*.js", "/a/b.js", True),
        ("images/?.png", "/images/a.png", True),
        ("images/?.png", "/images/ab.png", False),
        ("/a.b", "/axb", False),
    ],
)
def test_path_patterns(pattern: str, path: str, matches: bool) -> None:
    assert bool(behaviors.pattern(pattern).fullmatch(path)) is matches


def test_managed_policies(bench: Bench, state: GatewayState) -> None:
    found = bench.call(policies.CACHE.get, Id=NO_CACHE)["CachePolicy"]
    assert found["CachePolicyConfig"]["Name"] == "Managed-CachingDisabled"
    with pytest.raises(AwsError) as missing:
        bench.call(policies.CACHE.get, Id="none")
    assert missing.value.code == "NoSuchCachePolicy"


@pytest.mark.parametrize("behavior", ["always", "no-override", "never"])
def test_function_urls_are_asked_as_cloudfront(
    bench: Bench, state: GatewayState, behavior: str
) -> None:
    control = {"Name": "url", "SigningProtocol": "sigv4", "SigningBehavior": behavior}
    control["OriginAccessControlOriginType"] = "lambda"
    made = bench.call(policies.ACCESS.create, OriginAccessControlConfig=control)
    bench.state = state.edge
    origin = {
        "Id": "site",
        "DomainName": f"{'a' * 32}.lambda-url.us-east-1.on.aws",
        "OriginAccessControlId": made["OriginAccessControl"]["Id"],
        "CustomOriginConfig": {"OriginProtocolPolicy": "https-only"},
    }
    default = {
        "TargetOriginId": "site",
        "ViewerProtocolPolicy": "allow-all",
        "CachePolicyId": NO_CACHE,
        "OriginRequestPolicyId": ALL_BUT_HOST,
        "AllowedMethods": METHODS,
    }
    options = {"CallerReference": "one", "Comment": "", "Enabled": True}
    identifier = bench.call(
        distributions.create_distribution,
        DistributionConfig={**options, "Origins": listed(origin), "DefaultCacheBehavior": default},
    )["Distribution"]["Id"]
    asked: list[Request] = []

    async def inside(sent: Request) -> Response:
        asked.append(sent)
        return Response(200, [], await sent.body.read(100))

    state.edge.origins.inside = inside
    ask(state, request("GET", "/"))
    ask(state, request("GET", "/", {"authorization": "the viewer's"}))
    signers = [sent.signer.arn if sent.signer else None for sent in asked]
    cloudfront = "cloudfront.amazonaws.com"
    is_always, is_ever = behavior == "always", behavior != "never"
    assert signers == [cloudfront if is_ever else None, cloudfront if is_always else None]
    assert ("authorization" in asked[1].headers) is not is_always
    if is_ever:
        assert asked[0].signer.context["aws:SourceArn"].endswith(f":distribution/{identifier}")


def test_a_signed_body_needs_its_hash(bench: Bench, state: GatewayState) -> None:
    """gateway-063"""
    test_function_urls_are_asked_as_cloudfront(bench, state, "always")
    digest = hashlib.sha256(b"{}").hexdigest()
    for told, status in (({}, 403), ({"x-amz-content-sha256": "0" * 64}, 403),
                         ({"x-amz-content-sha256": digest}, 200)):  # fmt: skip
        assert ask(state, request("POST", "/", told, b"{}")).status == status


def test_this_run_s_stack_comes_before_older_ones(bench: Bench, state: GatewayState) -> None:
    make(bench, state)
    newer = make_api(bench)
    add_route(bench, newer, "$default")
    bench.call(resources.STAGE.create, ApiId=newer, StageName="$default", AutoDeploy=True)
    answers(bench, "newer")
    bench.answers["GetObject"] = {"Body": b"older", "ContentLength": 5}
    assert ask(state, request("GET", "/")).body == b"older"
    state.edge.lead("", newer)
    assert ask(state, request("GET", "/")).body == b"newer"
    state.edge.lead("", "")
    assert ask(state, request("GET", "/")).body == b"older"
