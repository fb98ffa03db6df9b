"""JWT, Lambda and IAM authorizers of HTTP APIs."""

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from cloudlet.call import ANONYMOUS, Caller
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.gateway.http_apis import authorizers, jwt, resources
from cloudlet.gateway.service import GatewayState
from tests.harness import Bench
from tests.unit.gateway.cloud import FUNCTION, add_route, answers, ask, document, event, make_api
from tests.unit.gateway.cloud import request as plain

ISSUER = "https://issuer.example"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
AUTHORIZER = FUNCTION.replace("hello", "judge")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def token(claims: dict[str, Any], algorithm: str = "RS256", kid: str = "r") -> str:
    header = {"alg": algorithm, "kid": kid}
    signed = f"{b64(orjson.dumps(header))}.{b64(orjson.dumps(claims))}"
    if algorithm == "RS256":
        signature = RSA.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    elif algorithm == "ES256":
        r, s = decode_dss_signature(EC.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32) + s.to_bytes(32)
    else:
        signature = b""
    return f"{signed}.{b64(signature)}"


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The URLs that were read."""
    read: list[str] = []
    r, e = RSA.public_key().public_numbers(), EC.public_key().public_numbers()
    keys = [
        {"kid": "r", "kty": "RSA", "n": number(r.n), "e": number(r.e)},
        {"kid": "e", "kty": "EC", "crv": "P-256", "x": number(e.x), "y": number(e.y)},
    ]

    def get(url: str) -> dict[str, Any]:
        read.append(url)
        if url.endswith("configuration"):
            return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        return {"keys": keys}

    monkeypatch.setattr(jwt, "_document", get)
    yield read


def protect(bench: Bench, kind: str, version: str = "2.0", scopes: Any = None, **own: Any) -> str:
    """An API with one route, guarded so."""
    api_id = make_api(bench)
    route: dict[str, Any] = {"AuthorizationType": kind}
    if kind != "AWS_IAM":
        settings = {"Name": "a", "AuthorizerType": "JWT" if kind == "JWT" else "REQUEST", **own}
        made = bench.call(authorizers.PART.create, ApiId=api_id, **settings)
        route["AuthorizerId"] = made["AuthorizerId"]
    if scopes:
        route["AuthorizationScopes"] = scopes
    add_route(bench, api_id, "GET /pets/{id}", version, **route)
    bench.call(resources.STAGE.create, ApiId=api_id, StageName="$default", AutoDeploy=True)
    return api_id


def by_token(bench: Bench, **own: Any) -> str:
    return protect(
        bench,
        "JWT",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": ISSUER, "Audience": ["me"]},
        **own,
    )


def by_function(bench: Bench, **own: Any) -> str:
    settings = {
        "AuthorizerUri": AUTHORIZER,
        "AuthorizerPayloadFormatVersion": "2.0",
        "IdentitySource": ["$request.header.authorization"],
    }
    return protect(bench, "CUSTOM", **{**settings, **own})


def get(state: GatewayState, api_id: str, path: str = "/pets/1", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(state, api_id, plain("GET", path, named))


def good(bench: Bench, **claims: Any) -> dict[str, Any]:
    now_s = bench.clock() // 1000
    return {"iss": ISSUER, "aud": "me", "exp": now_s + 60, "sub": "ann", **claims}


def test_token(bench: Bench, state: GatewayState, issuer: list[str]) -> None:
    """gateway-007: claims reach a function as text; scopes are null where the token has none."""
    api_id = by_token(bench)
    answers(bench, "ok")
    claims = good(bench, groups=["a", "b"], admin=True)
    assert get(state, api_id, authorization=f"Bearer {token(claims)}").status == 200
    said = event(bench)["requestContext"]["authorizer"]["jwt"]
    expected = {**claims, "exp": str(claims["exp"]), "groups": "[a b]", "admin": "true"}
    assert said == {"claims": expected, "scopes": None}
    assert get(state, api_id, authorization=token(good(bench), "ES256", "e")).status == 200
    assert len(issuer) == 2  # the keys were kept
    bench.clock.advance(7201)
    get(state, api_id, authorization=token(good(bench)))
    assert len(issuer) == 4


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": 1}, "expired"),
        ({"nbf": 9e12}, "not valid yet"),
        ({"iss": "https://other"}, "issuer"),
        ({"aud": "you"}, "audience"),
        ({"aud": ["you", "me"]}, ""),
        ({"aud": None, "client_id": "me"}, "audience"),
    ],
)
def test_claims(
    bench: Bench, state: GatewayState, issuer: list[str], claims: dict[str, Any], why: str
) -> None:
    api_id = by_token(bench)
    response = get(state, api_id, authorization=token({**good(bench), **claims}))
    if why:
        assert response.status == 401 and document(response) == {"message": "Unauthorized"}
        assert why in dict(response.headers)["www-authenticate"]
    else:
        assert response.status == 200


def test_signatures(bench: Bench, state: GatewayState, issuer: list[str]) -> None:
    """gateway-006: a key serves the algorithm of its own type only, whatever the token says."""
    api_id = by_token(bench)
    right = token(good(bench))
    header, _, signature = right.split(".")
    forged = f"{header}.{b64(orjson.dumps(good(bench, sub='eve')))}.{signature}"
    wrong = [
        forged, token(good(bench), "none"), token(good(bench), "HS256"),
        token(good(bench), "ES256", "r"), token(good(bench), "RS256", "e"),
        token(good(bench), kid="unknown"), "a.b.c", "nonsense",
    ]  # fmt: skip
    for text in wrong:
        assert get(state, api_id, authorization=f"Bearer {text}").status == 401, text
    missing = get(state, api_id)
    assert missing.status == 401 and ("www-authenticate", "Bearer") in missing.headers
    assert not bench.invoked


def test_scopes(bench: Bench, state: GatewayState, issuer: list[str]) -> None:
    api_id = by_token(bench, scopes=["read", "admin"])
    answers(bench, "ok")
    poor = get(state, api_id, authorization=token(good(bench, scope="write")))
    assert poor.status == 403 and document(poor) == {"message": "Forbidden"}
    assert "insufficient_scope" in dict(poor.headers)["www-authenticate"]
    assert get(state, api_id, authorization=token(good(bench, scp=["read", "x"]))).status == 200
    assert event(bench)["requestContext"]["authorizer"]["jwt"]["scopes"] == ["read", "x"]


def judged(bench: Bench, verdict: Any, error: str = "") -> None:
    """The authorizer answers so, the integration "ok"."""

    def invoke(params: dict[str, Any]) -> dict[str, Any]:
        is_judge = params["FunctionName"] == AUTHORIZER
        failed = {"FunctionError": "Unhandled"} if is_judge and error else {}
        answer = ({"errorMessage": error} if error else verdict) if is_judge else "ok"
        return {"StatusCode": 200, "Payload": orjson.dumps(answer), **failed}

    bench.answers["Invoke"] = invoke


def asked_judge(bench: Bench) -> list[dict[str, Any]]:
    return [
        orjson.loads(params["Payload"])
        for _, _, params in bench.invoked
        if params.get("FunctionName") == AUTHORIZER
    ]


def policy(effect: str, resource: str = "*") -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def test_simple_answers(bench: Bench, state: GatewayState) -> None:
    api_id = by_function(bench, EnableSimpleResponses=True)
    judged(bench, {"isAuthorized": True, "context": {"who": {"id": 1}}})
    assert get(state, api_id, authorization="me").status == 200
    assert event(bench)["requestContext"]["authorizer"] == {"lambda": {"who": {"id": 1}}}
    asked = asked_judge(bench)[0]
    assert asked["version"] == "2.0" and asked["type"] == "REQUEST"
    assert asked["identitySource"] == ["me"] and asked["pathParameters"] == {"id": "1"}
    own = f"arn:aws:execute-api:us-east-1:000000000000:{api_id}/$default/GET/pets/1"
    assert asked["routeArn"] == own and "body" not in asked
    judged(bench, {"isAuthorized": False})
    refused = get(state, api_id, authorization="me")
    assert refused.status == 403 and document(refused) == {"message": "Forbidden"}
    assert get(state, api_id).status == 401  # no identity: the function isn't even asked
    assert len(asked_judge(bench)) == 2


def test_policies(bench: Bench, state: GatewayState) -> None:
    api_id = by_function(bench, AuthorizerPayloadFormatVersion="1.0", version="1.0")
    verdict = {"principalId": "ann", "policyDocument": policy("Allow"), "context": {"n": 1}}
    judged(bench, verdict)
    assert get(state, api_id, authorization="me").status == 500  # no 1.0 answer, but admitted
    said = event(bench)["requestContext"]["authorizer"]
    assert said == {"principalId": "ann", "n": 1}
    asked = asked_judge(bench)[0]
    assert asked["methodArn"].endswith("/$default/GET/pets/1")
    assert (asked["authorizationToken"], asked["resource"]) == ("me", "/pets/{id}")
    for document_ in (policy("Deny"), policy("Allow", "*/GET/cats/*"), {"Statement": []}):
        judged(bench, {"principalId": "ann", "policyDocument": document_})
        assert get(state, api_id, authorization="me").status == 403


@pytest.mark.parametrize(
    ("verdict", "error", "status"),
    [
        ("yes", "", 500),
        ({}, "", 500),
        ({"principalId": "x", "policyDocument": {"Statement": ["x"]}}, "", 500),
        ({"policyDocument": policy("Allow")}, "", 500),
        (None, "boom", 500),
        (None, "Unauthorized", 401),
    ],
)
def test_wrong_verdicts(
    bench: Bench, state: GatewayState, verdict: Any, error: str, status: int
) -> None:
    api_id = by_function(bench)
    judged(bench, verdict, error)
    assert get(state, api_id, authorization="me").status == status


def test_verdicts_are_kept(bench: Bench, state: GatewayState) -> None:
    api_id = by_function(bench, AuthorizerResultTtlInSeconds=60)
    judged(bench, {"principalId": "ann", "policyDocument": policy("Allow", "*/GET/pets/1")})
    assert [get(state, api_id, authorization="me").status for _ in range(3)] == [200] * 3
    assert get(state, api_id, "/pets/2", authorization="me").status == 403  # by the same policy
    assert len(asked_judge(bench)) == 1
    get(state, api_id, authorization="you")
    assert len(asked_judge(bench)) == 2
    bench.clock.advance(61)
    get(state, api_id, authorization="me")
    assert len(asked_judge(bench)) == 3
    bench.call(authorizers.reset_authorizers_cache, ApiId=api_id, StageName="$default")
    get(state, api_id, authorization="me")
    assert len(asked_judge(bench)) == 4


def test_signed_callers(bench: Bench, state: GatewayState) -> None:
    api_id = protect(bench, "AWS_IAM")
    answers(bench, "ok")
    place = f"arn:aws:execute-api:us-east-1:000000000000:{api_id}/*/GET/pets/*"
    user = "arn:aws:iam::000000000000:user/ann"

    def caller(*policies: dict[str, Any]) -> Caller:
        return Caller("user", user, "000000000000", "AID", "AKIA", tuple(policies))

    who: list[Any] = [ANONYMOUS]

    async def authenticate(request: Request, signing_name: str) -> Caller:
        assert signing_name == "execute-api"
        if isinstance(who[0], AwsError):
            raise who[0]
        assert isinstance(who[0], Caller)
        return who[0]

    state.gateway.cloud.authenticate = authenticate
    assert get(state, api_id).status == 403
    who[0] = AwsError("InvalidSignatureException", "The signature is wrong.", 403)
    assert document(get(state, api_id)) == {"message": "The signature is wrong."}
    who[0] = caller(policy("Allow", "arn:aws:s3:::*"))
    assert get(state, api_id).status == 403
    who[0] = caller(policy("Allow", place))
    assert get(state, api_id).status == 200
    iam = event(bench)["requestContext"]["authorizer"]["iam"]
    assert (iam["userArn"], iam["accessKey"], iam["callerId"]) == (user, "AKIA", "AID")


def test_configuration(bench: Bench) -> None:
    api_id = make_api(bench)

    def refused(**settings: Any) -> str:
        with pytest.raises(AwsError) as error:
            bench.call(authorizers.PART.create, ApiId=api_id, Name="a", **settings)
        assert error.value.code == "BadRequestException"
        return error.value.message

    function = {"AuthorizerType": "REQUEST", "AuthorizerUri": FUNCTION}
    assert "PayloadFormat" in refused(**function)
    function["AuthorizerPayloadFormatVersion"] = "1.0"
    assert "2.0" in refused(**function, EnableSimpleResponses=True)
    assert "IdentitySource" in refused(**function, AuthorizerResultTtlInSeconds=5)
    assert "3600" in refused(**function, AuthorizerResultTtlInSeconds=3601)
    assert "identity source" in refused(**function, IdentitySource=["$request.body.x"])
    assert "Issuer" in refused(AuthorizerType="JWT", IdentitySource=["$request.header.a"])
    made = bench.call(authorizers.PART.create, ApiId=api_id, Name="a", **function)
    add_route(bench, api_id, "GET /", AuthorizationType="CUSTOM", AuthorizerId=made["AuthorizerId"])
    with pytest.raises(AwsError) as used:
        bench.call(authorizers.PART.delete, ApiId=api_id, AuthorizerId=made["AuthorizerId"])
    assert used.value.code == "ConflictException"
