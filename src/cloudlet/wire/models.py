"""botocore's service models: which API a request is for, and what its operations look like.

The models are AWS's own; nothing here repeats what they say. What they don't say stands in the
tables below, one row per surprise.
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any
from urllib.parse import parse_qs

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from cloudlet.exchange import Request
from cloudlet.wire import sqs_query

CBOR = "smithy-rpc-v2-cbor"
AMZ_CBOR = "x-amz-cbor-1.1"  # AWS's older one: the json protocol in another coat
CBORS = (CBOR, AMZ_CBOR)
# SigV4's service name → botocore's, where they differ
_BY_SIGNING_NAME = {"execute-api": "apigatewaymanagementapi", "monitoring": "cloudwatch"}
_CREDENTIAL = re.compile(r"Credential=[^/,\s]+/\d{8}/[^/,]+/([^/,]+)/aws4_request")
_SNS_LINK = re.compile(r"(?:.*&)?Action=(?:ConfirmSubscription|Unsubscribe)(?:&|$)")
# X-Amz-Target prefix → service
_TARGETS = {
    "DynamoDB_20120810": "dynamodb",
    "DynamoDBStreams_20120810": "dynamodbstreams",
    "AWSEvents": "events",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AmazonSQS": "sqs",
    "AmazonSSM": "ssm",
    "Kinesis_20131202": "kinesis",
    "Logs_20140328": "logs",
    "TrentService": "kms",
    "GraniteServiceVersion20100801": "cloudwatch",
}


@dataclass(frozen=True, eq=False)
class Model:
    """One service's API. `protocol`: "json", "query", "rest-json", "rest-xml" or one of CBORS; of
    several that the service has, `dialect` names one."""

    name: str
    service: ServiceModel
    dialect: str = ""

    @cached_property
    def protocol(self) -> str:
        return self.dialect or str(self.service.metadata["protocol"])

    @cached_property
    def content_type(self) -> str:
        if self.protocol == "json":
            return f"application/x-amz-json-{self.service.metadata['jsonVersion']}"
        if self.protocol == CBOR:
            return "application/cbor"
        if self.protocol == AMZ_CBOR:
            return f"application/{AMZ_CBOR}"
        return "application/json" if self.protocol == "rest-json" else "text/xml"

    @cached_property
    def signing_name(self) -> str:
        """The service in a credential scope."""
        metadata = self.service.metadata
        return str(metadata.get("signingName", metadata["endpointPrefix"]))

    @cached_property
    def operation_names(self) -> list[str]:
        return list(self.service.operation_names)

    @cache  # noqa: B019 - models live as long as the process
    def operation(self, name: str) -> OperationModel:
        return self.service.operation_model(name)


@cache
def load(name: str, dialect: str = "") -> Model:
    """The model of a botocore service name; raises botocore's UnknownServiceError."""
    if (name, dialect) == ("sqs", "query"):
        described = sqs_query.described(_loader().load_service_model(name, "service-2"))
        return Model(name, ServiceModel(described, name), dialect)
    if dialect:
        return Model(name, load(name).service, dialect)
    return Model(name, ServiceModel(_loader().load_service_model(name, "service-2"), name))


@lru_cache(maxsize=1)
def _loader() -> Loader:
    return Loader()


def operation_names(name: str) -> list[str]:
    return load(name).operation_names


def detect(request: Request) -> str:
    """The botocore service name a request is for, from its credential scope or its target.

    S3 is what is left: only S3 has unsigned requests without a target, but for SNS's links.
    """
    target = request.headers.get("x-amz-target", "")
    if target:
        prefix = target.partition(".")[0]
        return _TARGETS.get(prefix) or prefix.lower()
    scope = signing_name(request)
    if scope == "apigateway":
        return "apigatewayv2" if request.raw_path.startswith("/v2/") else "apigateway"
    if scope == "ses" and request.raw_path.startswith("/v2/"):
        return "sesv2"
    if scope == "s3" and request.raw_path.startswith("/v20180820/"):  # or a bucket of that name
        return "s3control" if "x-amz-account-id" in request.headers else "s3"
    if scope:
        return _BY_SIGNING_NAME.get(scope, scope)
    if _SNS_LINK.match(request.query) and request.method == "GET" and request.raw_path == "/":
        return "sns"
    if request.method == "POST" and request.headers.get("content-type", "").startswith(
        "application/x-www-form-urlencoded"
    ):
        return "sts"  # s3 has no urlencoded forms; an unsigned STS call is refused as STS refuses
    return "s3"


def unknown_target(request: Request, service: str) -> str:
    """The target of a request whose service, by botocore's name, has no model; else ""."""
    target = request.headers.get("x-amz-target", "")
    if not target or target.partition(".")[0] in _TARGETS:
        return ""
    return "" if service in _loader().list_available_services("service-2") else target


def dialect(request: Request, service: str) -> str:
    """The protocol a request speaks, of a service that has several; "" of others."""
    if service == "kinesis":
        kind = request.headers.get("content-type", "")
        return AMZ_CBOR if kind.startswith(f"application/{AMZ_CBOR}") else ""
    if service == "sqs":
        return "" if "x-amz-target" in request.headers else "query"
    if service != "cloudwatch":
        return ""
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        return CBOR
    return "json" if "x-amz-target" in request.headers else "query"


def signing_name(request: Request) -> str | None:
    """The service in the credential scope of a header-signed or presigned request."""
    header = request.headers.get("authorization")
    if header:
        match = _CREDENTIAL.search(header)
        return match.group(1) if match else None
    if "X-Amz-Credential" in request.query:
        values: dict[str, list[str]] = parse_qs(request.query)
        parts = values.get("X-Amz-Credential", [""])[0].split("/")
        return parts[3] if len(parts) == 5 else None
    return None


def serialization(shape: Any) -> dict[str, Any]:
    """botocore leaves `serialization` untyped."""
    value: dict[str, Any] = shape.serialization
    return value
