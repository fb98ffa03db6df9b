"""AWS::ApiGatewayV2::*: HTTP and WebSocket APIs and their parts.

The parts (stages, routes, integrations, deployments, authorizers) are alike: a table says which
operations they have and which member of the answer is their id.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_ApiGatewayV2.html.
"""

from dataclasses import dataclass
from typing import Any

from cloudlet.call import Output
from cloudlet.errors import AwsError
from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row, deletes
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_SERVICE = "apigatewayv2"
_TAGS = Tagging(_SERVICE)
_BODY_ONLY = words("Body FailOnWarnings")


def _settings(operation: str, properties: Properties) -> dict[str, Any]:
    settings = {key: value for key, value in properties.items() if key not in _BODY_ONLY}
    answers = settings.get("ResponseParameters")
    if isinstance(answers, dict) and operation.endswith("Integration"):
        settings["ResponseParameters"] = {
            status: _changes(status, change) for status, change in answers.items()
        }
    return shapes.parameters(_SERVICE, operation, settings)


def _changes(status: str, change: Any) -> dict[str, Any]:
    """CloudFormation lists `{Destination, Source}` where the API has a map."""
    listed = change.get("ResponseParameters") if isinstance(change, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise TemplateError(f"ResponseParameters.{status} must have a list of ResponseParameters.")
    return {each["Destination"]: each["Source"] for each in listed}


def _import(properties: Properties) -> dict[str, Any]:
    result: dict[str, Any] = {"Body": shapes.text(properties["Body"])}
    if "FailOnWarnings" in properties:
        result["FailOnWarnings"] = shapes.text(properties["FailOnWarnings"]) == "true"
    return result


def _emptied(operation: str, new: Properties, old: Properties) -> Properties:
    """The new properties, and "nothing" for those that left the template."""
    gone = {
        key: shapes.nothing(_SERVICE, operation, key)
        for key in old.keys() - new.keys() - _BODY_ONLY - {"Tags", "CorsConfiguration"}
    }
    return {**new, **{key: value for key, value in gone.items() if value is not None}}


def _arn(ctx: Context, api: str) -> str:
    return f"arn:aws:apigateway:{ctx.cloud.config.region}::/apis/{api}"


async def _create_api(ctx: Context, properties: Properties) -> Known:
    if "Body" in properties:
        made = await ctx.call(_SERVICE, "ImportApi", **_import(properties))
        await ctx.begin(made["ApiId"])
        await _besides_body(ctx, made["ApiId"], properties)
        await _TAGS.update(ctx, _arn(ctx, made["ApiId"]), properties, {})
    else:
        made = await ctx.call(_SERVICE, "CreateApi", **_settings("CreateApi", properties))
        await ctx.begin(made["ApiId"])
    return _known_api(made)


def _known_api(made: dict[str, Any]) -> Known:
    return Known(made["ApiId"], {"ApiId": made["ApiId"], "ApiEndpoint": made["ApiEndpoint"]})


async def _besides_body(ctx: Context, api: str, properties: Properties) -> None:
    """Properties beside a body win over what the body says."""
    settings = {key: value for key, value in properties.items() if key != "Tags"}
    settings.pop("ProtocolType", None)
    converted = _settings("UpdateApi", settings)
    if converted:
        await ctx.call(_SERVICE, "UpdateApi", ApiId=api, **converted)


async def _update_api(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    api = known.physical_id
    if "Body" in new and new["Body"] != old.get("Body"):
        await ctx.call(_SERVICE, "ReimportApi", ApiId=api, **_import(new))
    if old.get("CorsConfiguration") and not new.get("CorsConfiguration"):
        await ctx.call(_SERVICE, "DeleteCorsConfiguration", ApiId=api)
    await _besides_body(ctx, api, _emptied("UpdateApi", new, old))
    await _TAGS.update(ctx, _arn(ctx, api), new, old)
    return known


def _check_api(properties: Properties) -> None:
    if "Body" not in properties and not {"Name", "ProtocolType"} <= properties.keys():
        raise TemplateError("Name and ProtocolType are required without a Body.")
    _settings("CreateApi", properties)


@dataclass(frozen=True, slots=True)
class Part:
    """A child of an API: `noun` in operation names, `id` its member in requests and answers."""

    noun: str
    id: str
    properties: frozenset[str]
    fixed: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    parents: tuple[str, ...] = ("ApiId",)

    async def create(self, ctx: Context, properties: Properties) -> Known:
        settings = _settings(f"Create{self.noun}", properties)
        made = await self._made(ctx, settings)
        physical_id = made[self.id]
        await ctx.begin(physical_id)
        return Known(physical_id, {self.id: physical_id})

    async def _made(self, ctx: Context, settings: dict[str, Any]) -> dict[str, Any]:
        """A stage that the API's import has made already is taken over."""
        try:
            return await ctx.call(_SERVICE, f"Create{self.noun}", **settings)
        except AwsError as error:
            if self.noun != "Stage" or error.code != "ConflictException":
                raise
            settings.pop("Tags", None)
            return await ctx.call(_SERVICE, "UpdateStage", **settings)

    async def update(self, ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        operation = f"Update{self.noun}"
        wanted = {**_emptied(operation, new, old), self.id: known.physical_id}
        wanted.pop("Tags", None)
        await ctx.call(_SERVICE, operation, **_settings(operation, wanted))
        if self.noun == "Stage":
            arn = f"{_arn(ctx, new['ApiId'])}/stages/{known.physical_id}"
            await _TAGS.update(ctx, arn, new, old)
        return known

    async def delete(self, ctx: Context, physical_id: str, properties: Properties) -> None:
        target = {parent: properties[parent] for parent in self.parents} | {self.id: physical_id}
        await ctx.call(_SERVICE, f"Delete{self.noun}", **target)

    def check(self, properties: Properties) -> None:
        _settings(f"Create{self.noun}", properties)

    def kind(self) -> Kind:
        return Kind(
            f"AWS::ApiGatewayV2::{self.noun}",
            self.properties | set(self.parents),
            self.create,
            self.delete,
            self.update,
            fixed=self.fixed | set(self.parents),
            required=self.required | set(self.parents),
            check=self.check,
        )


_PARTS = (
    Part(
        "Stage",
        "StageName",
        words(
            "AccessLogSettings AutoDeploy DefaultRouteSettings DeploymentId Description"
            " RouteSettings StageName StageVariables Tags"
        ),
        fixed=words("StageName"),
    ),
    Part(
        "Route",
        "RouteId",
        words(
            "ApiKeyRequired AuthorizationScopes AuthorizationType AuthorizerId"
            " ModelSelectionExpression OperationName RequestModels RequestParameters RouteKey"
            " RouteResponseSelectionExpression Target"
        ),
    ),
    Part(
        "Integration",
        "IntegrationId",
        words(
            "ConnectionId ConnectionType ContentHandlingStrategy CredentialsArn Description"
            " IntegrationMethod IntegrationSubtype IntegrationType IntegrationUri"
            " PassthroughBehavior PayloadFormatVersion RequestParameters RequestTemplates"
            " ResponseParameters TemplateSelectionExpression TimeoutInMillis TlsConfig"
        ),
        fixed=words("IntegrationType"),
    ),
    Part(
        "RouteResponse",
        "RouteResponseId",
        words("ModelSelectionExpression ResponseModels ResponseParameters RouteResponseKey"),
        parents=("ApiId", "RouteId"),
    ),
    Part(
        "IntegrationResponse",
        "IntegrationResponseId",
        words(
            "ContentHandlingStrategy IntegrationResponseKey ResponseParameters ResponseTemplates"
            " TemplateSelectionExpression"
        ),
        parents=("ApiId", "IntegrationId"),
    ),
    Part("Model", "ModelId", words("ContentType Description Name Schema")),
    Part("Deployment", "DeploymentId", words("Description StageName"), fixed=words("StageName")),
    Part(
        "Authorizer",
        "AuthorizerId",
        words(
            "AuthorizerCredentialsArn AuthorizerPayloadFormatVersion AuthorizerResultTtlInSeconds"
            " AuthorizerType AuthorizerUri EnableSimpleResponses IdentitySource"
            " IdentityValidationExpression JwtConfiguration Name"
        ),
    ),
    Part(
        "ApiMapping",
        "ApiMappingId",
        words("ApiId ApiMappingKey Stage"),
        required=words("ApiId Stage"),
        parents=("DomainName",),
    ),
)


def _domain(made: Output, name: str) -> dict[str, Any]:
    configured = made["DomainNameConfigurations"][0]
    return {
        "DomainNameArn": made["DomainNameArn"],
        "RegionalDomainName": configured["ApiGatewayDomainName"],
        "RegionalHostedZoneId": configured["HostedZoneId"],
    }


KINDS = (
    Row(
        "AWS::ApiGatewayV2::DomainName",
        _SERVICE,
        "CreateDomainName UpdateDomainName DeleteDomainName",
        "DomainName DomainNameConfigurations MutualTlsAuthentication RoutingMode Tags",
        name="DomainName",
        fixed="DomainName",
        required="DomainName DomainNameConfigurations",
        tags=_TAGS,
        tagged="DomainNameArn",
        attributes=_domain,
    ).kind(),
    Kind(
        "AWS::ApiGatewayV2::Api",
        words(
            "ApiKeySelectionExpression Body CorsConfiguration CredentialsArn Description"
            " DisableExecuteApiEndpoint DisableSchemaValidation FailOnWarnings IpAddressType Name"
            " ProtocolType RouteKey RouteSelectionExpression Tags Target Version"
        ),
        _create_api,
        deletes(_SERVICE, "DeleteApi", "ApiId"),
        _update_api,
        fixed=words("ProtocolType"),
        check=_check_api,
    ),
    *(part.kind() for part in _PARTS),
)
