"""A distribution over the network: buckets, functions and other services behind one name."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from tests.conformance.building import make_function, policy
from tests.server import Server

HOST = "cdn.example.com"
OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_BUT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
HELLO = "def handler(event, context): return 'from ' + event['rawPath']"


def listed(*values: Any) -> dict[str, Any]:
    return {"Quantity": len(values), "Items": list(values)}


class Door:
    def __init__(self, server: Server, bucket: str, distribution: str) -> None:
        self.server, self.bucket, self.distribution = server, bucket, distribution
        self.s3, self.cloudfront = server.client("s3"), server.client("cloudfront")

    def get(self, path: str, method: str = "GET", **headers: str) -> urllib3.BaseHTTPResponse:
        named = {"host": HOST, **headers}
        return self.server.http.request(method, self.server.url + path, headers=named)


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    """Somebody's HTTP service; its port."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{self.path} for {self.headers['x-viewer']}".encode()
            self.send_response(200)
            self.send_header("cache-control", "no-store")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    served = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served.server_port
    served.shutdown()
    served.server_close()


@pytest.fixture(scope="module")
def door(server: Server, service: int) -> Iterator[Door]:
    s3, client = server.client("s3"), server.client("cloudfront")
    s3.create_bucket(Bucket="front-door-site")
    control = client.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": "front-door", "SigningProtocol": "sigv4", "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )["OriginAccessControl"]["Id"]  # fmt: skip
    function = make_function(server, "front-door-hello", HELLO)
    for action, condition in (
        ("lambda:InvokeFunctionUrl", {"FunctionUrlAuthType": "NONE"}),
        ("lambda:InvokeFunction", {"InvokedViaFunctionUrl": True}),
    ):
        server.client("lambda").add_permission(
            FunctionName=function, StatementId=action[7:], Action=action, Principal="*", **condition
        )
    url = server.client("lambda").create_function_url_config(
        FunctionName=function, AuthType="NONE"
    )["FunctionUrl"]
    url_domain = f"{url.rstrip('/').rsplit('/', 1)[-1]}.lambda-url.us-east-1.on.aws"
    own = {
        "HTTPPort": service,
        "HTTPSPort": 443,
        "OriginProtocolPolicy": "http-only",
        "OriginSslProtocols": listed("TLSv1.2"),
    }
    behavior = {
        "ViewerProtocolPolicy": "allow-all",
        "CachePolicyId": DISABLED,
        "OriginRequestPolicyId": ALL_BUT_HOST,
        "AllowedMethods": {
            **listed("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"),
            "CachedMethods": listed("GET", "HEAD"),
        },
    }
    made = client.create_distribution(
        DistributionConfig={
            "CallerReference": "front-door",
            "Comment": "",
            "Enabled": True,
            "Aliases": listed(HOST),
            "DefaultRootObject": "index.html",
            "CustomErrorResponses": listed(
                *(
                    {"ErrorCode": code, "ResponsePagePath": "/none.html", "ResponseCode": "404"}
                    for code in (403, 404)
                )
            ),
            "Origins": listed(
                {"Id": "site", "DomainName": "front-door-site.s3.us-east-1.amazonaws.com",
                 "OriginAccessControlId": control, "S3OriginConfig": {"OriginAccessIdentity": ""}},
                {"Id": "other", "DomainName": "127.0.0.1", "OriginPath": "/base",
                 "CustomOriginConfig": own},
                {"Id": "function", "DomainName": url_domain, "CustomOriginConfig": own},
            ),
            "CacheBehaviors": listed(
                {**behavior, "PathPattern": "/other/*", "TargetOriginId": "other"},
                {**behavior, "PathPattern": "/hello*", "TargetOriginId": "function"},
            ),
            "DefaultCacheBehavior": {
                "TargetOriginId": "site", "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": OPTIMIZED, "Compress": True,
            },
        }
    )  # fmt: skip
    identifier = made["Distribution"]["Id"]
    statement = {
        "Effect": "Allow", "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject", "Resource": "arn:aws:s3:::front-door-site/*",
    }  # fmt: skip
    s3.put_bucket_policy(Bucket="front-door-site", Policy=policy(statement))
    yield Door(server, "front-door-site", identifier)
    found = client.get_distribution_config(Id=identifier)
    config = {**found["DistributionConfig"], "Enabled": False}
    off = client.update_distribution(
        Id=identifier, IfMatch=found["ETag"], DistributionConfig=config
    )
    client.delete_distribution(Id=identifier, IfMatch=off["ETag"])


def test_a_site_is_kept_until_it_is_invalidated(door: Door) -> None:
    page = b"<p>one</p>" * 200
    door.s3.put_object(Bucket=door.bucket, Key="index.html", Body=page, ContentType="text/html")
    door.s3.put_object(Bucket=door.bucket, Key="none.html", Body=b"nothing here")
    first = door.get("/")
    assert first.data == page and first.headers["x-cache"] == "Miss from cloudfront"
    door.s3.put_object(Bucket=door.bucket, Key="index.html", Body=b"two", ContentType="text/html")
    again = door.get("/")
    assert again.data == page and again.headers["x-cache"] == "Hit from cloudfront"
    assert door.get("/", **{"if-none-match": first.headers["etag"]}).status == 304
    assert door.get("/", "HEAD").headers["content-length"] == str(len(page))
    batch = {"Paths": listed("/*"), "CallerReference": str(time.time())}
    made = door.cloudfront.create_invalidation(
        DistributionId=door.distribution, InvalidationBatch=batch
    )["Invalidation"]
    assert door.get("/").data == b"two"
    waiter = door.cloudfront.get_waiter("invalidation_completed")
    waiter.wait(DistributionId=door.distribution, Id=made["Id"])
    listing = door.cloudfront.list_invalidations(DistributionId=door.distribution)
    assert listing["InvalidationList"]["Items"][0]["Id"] == made["Id"]
    missing = door.get("/missing")
    assert (missing.status, missing.data) == (404, b"nothing here")


def test_compression(door: Door) -> None:
    door.s3.put_object(
        Bucket=door.bucket, Key="a.css", Body=b"a {}\n" * 1000, ContentType="text/css"
    )
    answer = door.get("/a.css", **{"accept-encoding": "gzip, br"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.data == b"a {}\n" * 1000  # urllib3 has unpacked it
    assert int(answer.headers["content-length"]) < 200


def test_other_origins(door: Door) -> None:
    viewer = {"x-viewer": "ann"}
    assert door.get("/other/x?y=1", **viewer).data == b"/base/other/x?y=1 for ann"
    posted = door.server.http.request(
        "POST", f"{door.server.url}/other/x", headers={"host": HOST, **viewer}, body=b"z" * 100_000
    )
    assert posted.data == b"/base/other/x for ann"
    assert door.get("/hello/you").data == b"from /hello/you"
