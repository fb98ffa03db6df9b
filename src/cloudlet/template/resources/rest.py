"""AWS::ApiGateway::*: REST APIs and most of their parts.

The parts are alike: a table says which operations they have, which properties change in place and
what `Ref` and attributes are. Stages, methods and usage plans are `rest_stages`'.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_ApiGateway.html.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from cloudlet.template.intrinsics import Known, promised
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row, again, deletes
from cloudlet.template.resources.tags import Tagging, tag_list
from cloudlet.template.words import words

SERVICE = "apigateway"
TAGS = Tagging(SERVICE, arn="resourceArn", tags="tags", keys="tagKeys")
_IMPORTED = words("Body BodyS3Location FailOnWarnings Mode Parameters")
# property → (patch path, what it is without the property)
_SETTINGS = {
    "Name": ("/name", None),
    "Description": ("/description", ""),
    "Policy": ("/policy", ""),
    "ApiKeySourceType": ("/apiKeySource", "HEADER"),
    "MinimumCompressionSize": ("/minimumCompressionSize", ""),
    "DisableExecuteApiEndpoint": ("/disableExecuteApiEndpoint", "false"),
    "EndpointAccessMode": ("/endpointAccessMode", "BASIC"),
    "SecurityPolicy": ("/securityPolicy", ""),
}
Patches = list[dict[str, str]]


def camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def settings(operation: str, properties: Properties) -> dict[str, Any]:
    """The properties as the operation's parameters; tags may be a list."""
    given = dict(properties)
    if "Tags" in given:
        given["Tags"] = tag_list(given["Tags"])
    return shapes.parameters(SERVICE, operation, given)


def patch(path: str, value: Any) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": shapes.text(value)}


def arn(ctx: Context, path: str) -> str:
    return f"arn:aws:apigateway:{ctx.cloud.config.region}::/{path}"


def escaped(segment: str) -> str:
    return segment.replace("~", "~0").replace("/", "~1")


# --- RestApi ---


async def _create_api(ctx: Context, properties: Properties) -> Known:
    if "CloneFrom" not in properties and _has_body(properties):
        name = ctx.name(properties.get("Name"), 128)  # until the body's title takes its place
        made = await ctx.call(SERVICE, "CreateRestApi", name=name)
        await ctx.begin(made["id"])
        await _put(ctx, made["id"], properties)
        await _besides_body(ctx, made["id"], properties, {})
        await TAGS.update(ctx, arn(ctx, f"restapis/{made['id']}"), properties, {})
    else:
        made = await ctx.call(SERVICE, "CreateRestApi", **_created(properties))
        await ctx.begin(made["id"])
    return Known(made["id"], {"RestApiId": made["id"], "RootResourceId": made["rootResourceId"]})


def _created(properties: Properties) -> dict[str, Any]:
    given = {name: value for name, value in properties.items() if name not in _IMPORTED}
    if "ApiKeySourceType" in given:
        given["ApiKeySource"] = given.pop("ApiKeySourceType")
    if given.get("BinaryMediaTypes"):
        given["BinaryMediaTypes"] = _media_types(given)
    return settings("CreateRestApi", given)


def _media_types(properties: Properties) -> list[str]:
    """gateway-302: CloudFormation writes them with `~1` for the slash."""
    return [str(kind).replace("~1", "/") for kind in properties.get("BinaryMediaTypes") or []]


def _has_body(properties: Properties) -> bool:
    return "Body" in properties or "BodyS3Location" in properties


async def _put(ctx: Context, api: str, properties: Properties) -> None:
    """Makes the API what the body says."""
    body = shapes.text(properties["Body"]).encode() if "Body" in properties else b""
    if not body:
        place = properties["BodyS3Location"]
        version = {"VersionId": place["Version"]} if place.get("Version") else {}
        found = await ctx.call(
            "s3", "GetObject", Bucket=place["Bucket"], Key=place["Key"], **version
        )
        content = found["Body"]
        body = content if isinstance(content, bytes) else b"".join([part async for part in content])
    given = {str(k): shapes.text(v) for k, v in (properties.get("Parameters") or {}).items()}
    fails = shapes.text(properties.get("FailOnWarnings", False)) == "true"
    how = {"mode": str(properties.get("Mode") or "overwrite"), "failOnWarnings": fails}
    await ctx.call(SERVICE, "PutRestApi", restApiId=api, body=body, parameters=given, **how)


async def _besides_body(ctx: Context, api: str, new: Properties, old: Properties) -> None:
    """Properties beside a body win over what the body says."""
    patches = []
    for name, (path, default) in _SETTINGS.items():
        if name in new:
            patches.append(patch(path, new[name]))
        elif name in old and default is not None:
            patches.append(patch(path, default))
    if types := (new.get("EndpointConfiguration") or {}).get("Types"):
        patches.append(patch("/endpointConfiguration/types/0", types[0]))
    if "BinaryMediaTypes" in new or "BinaryMediaTypes" in old:
        current = await ctx.call(SERVICE, "GetRestApi", restApiId=api)
        patches += _media_patches(current.get("binaryMediaTypes") or [], _media_types(new))
    if patches:
        await ctx.call(SERVICE, "UpdateRestApi", restApiId=api, patchOperations=patches)


def _media_patches(current: list[str], wanted: list[str]) -> Patches:
    operations = (("remove", current, wanted), ("add", wanted, current))
    return [
        {"op": op, "path": f"/binaryMediaTypes/{escaped(kind)}"}
        for op, these, others in operations
        for kind in these
        if kind not in others
    ]


async def _update_api(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    api = known.physical_id
    if _has_body(new) and any(new.get(name) != old.get(name) for name in _IMPORTED):
        await _put(ctx, api, new)
    await _besides_body(ctx, api, new, old)
    await TAGS.update(ctx, arn(ctx, f"restapis/{api}"), new, old)
    return known


def _check_api(properties: Properties) -> None:
    _created(properties)
    if not _has_body(properties) and "Name" not in properties and "CloneFrom" not in properties:
        raise TemplateError("Name is required without a Body.")


# --- parts ---


@dataclass(frozen=True, slots=True)
class Part:
    """`noun` in operation and type names; `id` the parameter that names one, `answer` the member
    of the answer with its name; `ref` the attribute that repeats it."""

    noun: str
    id: str
    ref: str
    changing: frozenset[str]  # properties that a patch of the same name changes
    fixed: frozenset[str] = frozenset()
    answer: str = "id"
    parents: tuple[str, ...] = ("RestApiId",)
    required: frozenset[str] = frozenset()
    defaults: Properties = field(default_factory=dict)  # without a property: what a patch says
    name: str = ""  # a property to make a name for
    texts: frozenset[str] = frozenset()  # properties that hold documents

    async def create(self, ctx: Context, properties: Properties) -> Known:
        given = self.given(properties)
        if self.name and not given.get(self.name):
            given[self.name] = re.sub(r"[^A-Za-z0-9]", "", ctx.name(None, 64))
        made = await ctx.call(
            SERVICE, f"Create{self.noun}", **settings(f"Create{self.noun}", given)
        )
        await ctx.begin(made[self.answer])
        return Known(made[self.answer], {self.ref: made[self.answer]})

    def given(self, properties: Properties) -> Properties:
        return {
            name: shapes.text(value) if name in self.texts and not promised(value) else value
            for name, value in properties.items()
        }

    def _address(self, physical_id: str, properties: Properties) -> dict[str, Any]:
        address = {camel(parent): properties[parent] for parent in self.parents}
        return {**address, self.id: physical_id}

    async def update(self, ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        given = self.given(new)
        patches = [
            patch(f"/{camel(name)}", given.get(name, self.defaults.get(name, "")))
            for name in sorted(self.changing & (new.keys() | old.keys()))
        ]
        address = self._address(known.physical_id, new)
        await ctx.call(SERVICE, f"Update{self.noun}", **address, patchOperations=patches)
        return known

    async def delete(self, ctx: Context, physical_id: str, properties: Properties) -> None:
        await ctx.call(SERVICE, f"Delete{self.noun}", **self._address(physical_id, properties))

    def check(self, properties: Properties) -> None:
        settings(f"Create{self.noun}", self.given(properties))

    def kind(self) -> Kind:
        fixed = self.fixed | set(self.parents)
        return Kind(
            f"AWS::ApiGateway::{self.noun}",
            self.changing | fixed,
            self.create,
            self.delete,
            self.update if self.changing else None,
            fixed=frozenset(fixed),
            required=self.required | set(self.parents),
            check=self.check,
        )


async def _put_account(ctx: Context, properties: Properties) -> Known:
    role = properties.get("CloudWatchRoleArn") or ""
    operations = [patch("/cloudwatchRoleArn", role)]
    await ctx.call(SERVICE, "UpdateAccount", patchOperations=operations)
    name = ctx.name(None, 64)
    await ctx.begin(name)
    return Known(name, {"Id": name})


async def _keep_account(ctx: Context, name: str, properties: Properties) -> None:
    """AWS leaves the account's role as it is."""


# --- domain names ---


async def _create_domain(ctx: Context, properties: Properties) -> Known:
    made = await ctx.call(SERVICE, "CreateDomainName", **settings("CreateDomainName", properties))
    await ctx.begin(made["domainName"])
    names = words(
        "DistributionDomainName DistributionHostedZoneId DomainNameArn RegionalDomainName"
        " RegionalHostedZoneId"
    )
    attributes = {name: made[camel(name)] for name in names if camel(name) in made}
    return Known(made["domainName"], attributes)


async def _update_domain(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    patches = [
        patch(f"/{camel(name)}", new[name])
        for name in ("CertificateArn", "RegionalCertificateArn", "SecurityPolicy")
        if name in new
    ]
    if types := (new.get("EndpointConfiguration") or {}).get("Types"):
        patches.append(patch("/endpointConfiguration/types/0", types[0]))
    await ctx.call(
        SERVICE, "UpdateDomainName", domainName=known.physical_id, patchOperations=patches
    )
    await TAGS.update(ctx, arn(ctx, f"domainnames/{known.physical_id}"), new, old)
    return known


async def _create_mapping(ctx: Context, properties: Properties) -> Known:
    given = settings("CreateBasePathMapping", properties)
    made = await ctx.call(SERVICE, "CreateBasePathMapping", **given)
    name = f"{properties['DomainName']}|{made['basePath']}"
    await ctx.begin(name)
    return Known(name)


async def _update_mapping(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    domain, _, path = known.physical_id.partition("|")
    operations = [patch("/restapiId", new["RestApiId"]), patch("/stage", new.get("Stage") or "")]
    address = {"domainName": domain, "basePath": path}
    await ctx.call(SERVICE, "UpdateBasePathMapping", **address, patchOperations=operations)
    return known


async def _delete_mapping(ctx: Context, name: str, properties: Properties) -> None:
    domain, _, path = name.partition("|")
    await ctx.call(SERVICE, "DeleteBasePathMapping", domainName=domain, basePath=path)


_PARTS = (
    Part(
        "Resource",
        "resourceId",
        "ResourceId",
        frozenset(),
        fixed=words("ParentId PathPart"),
        required=words("ParentId PathPart"),
    ),
    Part(
        "Authorizer",
        "authorizerId",
        "AuthorizerId",
        words(
            "AuthType AuthorizerCredentials AuthorizerResultTtlInSeconds AuthorizerUri"
            " IdentitySource IdentityValidationExpression Name Type"
        ),
        required=words("Name Type"),
        defaults={"AuthorizerResultTtlInSeconds": 300, "AuthType": "custom"},
    ),
    Part(
        "Model",
        "modelName",
        "Name",
        words("Description Schema"),
        fixed=words("ContentType Name"),
        answer="name",
        defaults={"Schema": "{}"},
        name="Name",
        texts=words("Schema"),
    ),
    Part(
        "RequestValidator",
        "requestValidatorId",
        "RequestValidatorId",
        words("ValidateRequestBody ValidateRequestParameters"),
        fixed=words("Name"),
        defaults={"ValidateRequestBody": False, "ValidateRequestParameters": False},
    ),
    Part(
        "DocumentationPart",
        "documentationPartId",
        "DocumentationPartId",
        words("Properties"),
        fixed=words("Location"),
        required=words("Location Properties"),
    ),
    Part(
        "DocumentationVersion",
        "documentationVersion",
        "DocumentationVersion",
        words("Description"),
        fixed=words("DocumentationVersion"),
        answer="version",
        required=words("DocumentationVersion"),
    ),
)

KINDS = (
    Kind(
        "AWS::ApiGateway::RestApi",
        words(
            "ApiKeySourceType BinaryMediaTypes Body BodyS3Location CloneFrom Description"
            " DisableExecuteApiEndpoint EndpointAccessMode EndpointConfiguration FailOnWarnings"
            " MinimumCompressionSize Mode Name Parameters Policy SecurityPolicy Tags"
        ),
        _create_api,
        deletes(SERVICE, "DeleteRestApi", "restApiId"),
        _update_api,
        fixed=words("CloneFrom"),
        check=_check_api,
    ),
    *(part.kind() for part in _PARTS),
    Row(
        "AWS::ApiGateway::GatewayResponse",
        SERVICE,
        "PutGatewayResponse PutGatewayResponse DeleteGatewayResponse",
        "ResponseParameters ResponseTemplates ResponseType RestApiId StatusCode",
        of="RestApiId ResponseType",
        ref="{RestApiId}/{ResponseType}",
        fixed="ResponseType RestApiId",
        required="ResponseType RestApiId",
        attributes=lambda made, name: {"Id": name},
    ).kind(),
    Kind(
        "AWS::ApiGateway::Account",
        words("CloudWatchRoleArn"),
        _put_account,
        _keep_account,
        again(_put_account),
    ),
    Kind(
        "AWS::ApiGateway::DomainName",
        words(
            "CertificateArn DomainName EndpointConfiguration OwnershipVerificationCertificateArn"
            " RegionalCertificateArn RoutingMode SecurityPolicy Tags"
        ),
        _create_domain,
        deletes(SERVICE, "DeleteDomainName", "domainName"),
        _update_domain,
        fixed=words("DomainName OwnershipVerificationCertificateArn RoutingMode"),
        name="DomainName",
        required=words("DomainName"),
    ),
    Kind(
        "AWS::ApiGateway::BasePathMapping",
        words("BasePath DomainName RestApiId Stage"),
        _create_mapping,
        _delete_mapping,
        _update_mapping,
        fixed=words("BasePath DomainName"),
        required=words("DomainName RestApiId"),
    ),
)
