"""What calls need: `apigateway:VERB`, `execute-api:ManageConnections`, `cloudfront:*`.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html
"""

from cloudlet.call import Call, Requirement
from cloudlet.gateway.connections import Connections

_VERBS = {
    "Create": "POST",
    "Import": "PUT",
    "Reimport": "PUT",
    "Get": "GET",
    "Update": "PATCH",
    "Delete": "DELETE",
    "Tag": "POST",
    "Untag": "DELETE",
}
_COLLECTIONS = {
    "RouteResponse": ("routes/{RouteId}/routeresponses", "RouteResponseId"),
    "IntegrationResponse": (
        "integrations/{IntegrationId}/integrationresponses",
        "IntegrationResponseId",
    ),
    "Integration": ("integrations", "IntegrationId"),
    "Deployment": ("deployments", "DeploymentId"),
    "Route": ("routes", "RouteId"),
    "Stage": ("stages", "StageName"),
    "CorsConfiguration": ("cors", ""),
    "Model": ("models", "ModelId"),
    "Authorizer": ("authorizers", "AuthorizerId"),
}


def apigateway(call: Call) -> list[Requirement]:
    verb, noun = _split(call.operation)
    root = f"arn:aws:apigateway:{call.config.region}::"
    if noun in ("Resource", "Tags"):
        return [Requirement(f"apigateway:{verb}", f"{root}/tags/{call.params['ResourceArn']}")]
    if noun.startswith(("DomainName", "ApiMapping")):
        return [Requirement(f"apigateway:{verb}", root + _domain_path(call))]
    path = "/apis"
    if call.params.get("ApiId"):
        path += f"/{call.params['ApiId']}"
    for name, (collection, identifier) in _COLLECTIONS.items():
        if noun.startswith(name):
            path += "/" + collection.format_map(
                {name: call.params.get(name, "") for name in ("RouteId", "IntegrationId")}
            )
            is_new = call.operation.startswith("Create")
            if not is_new and call.params.get(identifier):
                path += f"/{call.params[identifier]}"
            break
    return [Requirement(f"apigateway:{verb}", root + path)]


def _domain_path(call: Call) -> str:
    path = "/domainnames"
    if not call.operation.startswith("CreateDomain") and call.params.get("DomainName"):
        path += f"/{call.params['DomainName']}"
    if "ApiMapping" in call.operation:
        path += "/apimappings"
        path += f"/{call.params['ApiMappingId']}" if call.params.get("ApiMappingId") else ""
    return path


def management(call: Call) -> list[Requirement]:
    verbs = {"PostToConnection": "POST", "GetConnection": "GET", "DeleteConnection": "DELETE"}
    identifier = call.params["ConnectionId"]
    connections: Connections | None = call.state
    connection = connections.open.get(identifier) if connections is not None else None
    # of a connection that is gone nobody knows the API; the answer will be 410
    place = "*/*"
    if connection is not None:
        place = f"{connection.origin.stage.api_id}/{connection.origin.stage.name}"
    resource = f"{place}/{verbs[call.operation]}/@connections/{identifier}"
    return [Requirement("execute-api:ManageConnections", call.config.arn("execute-api", resource))]


def cloudfront(call: Call) -> list[Requirement]:
    kinds = {
        "Distribution": "distribution",
        "OriginAccessControl": "origin-access-control",
        "ResponseHeadersPolic": "response-headers-policy",
        "CachePolic": "cache-policy",
        "OriginRequestPolic": "origin-request-policy",
    }
    root = f"arn:aws:cloudfront::{call.config.account}:"
    action = call.operation.removesuffix("WithTags")
    if "Resource" in call.params:
        return [Requirement(f"cloudfront:{action}", call.params["Resource"])]
    if "DistributionId" in call.params:
        place = f"{root}distribution/{call.params['DistributionId']}"
        return [Requirement(f"cloudfront:{action}", place)]
    kind = next((kind for name, kind in kinds.items() if name in call.operation), "*")
    identifier = call.params.get("Id")
    resource = f"{root}{kind}/{identifier}" if identifier else f"{root}{kind}/*"
    if call.operation.startswith("List"):
        resource = "*"
    requirements = [Requirement(f"cloudfront:{action}", resource)]
    if call.operation == "CreateDistributionWithTags":
        requirements.append(Requirement("cloudfront:TagResource", resource))
    return requirements


def _split(operation: str) -> tuple[str, str]:
    for prefix, verb in _VERBS.items():
        if operation.startswith(prefix):
            return verb, operation[len(prefix) :]
    return "GET", operation
