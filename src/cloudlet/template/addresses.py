"""Where a stack's APIs, function URLs and websites answer on this machine: what `up` prints, and
what its front door shows."""

from collections.abc import Iterator

from cloudlet.call import Cloud
from cloudlet.template import stacks
from cloudlet.template.stacks import READY, Record

_STAGES = {
    "AWS::ApiGatewayV2::Stage": ("ApiId", "AWS::ApiGatewayV2::Api"),
    "AWS::ApiGateway::Stage": ("RestApiId", "AWS::ApiGateway::RestApi"),
}


def addresses(cloud: Cloud, stack_name: str) -> list[tuple[str, str]]:
    """(logical id, URL) of each stage of an API, each function URL and each website."""
    rows = stacks.records(cloud.database.view(), stack_name)
    ready = [row for row in rows if row.state == READY]
    return [*_stages(cloud, ready), *_function_urls(ready), *_websites(ready)]


def front(cloud: Cloud, stack_name: str) -> tuple[str, str]:
    """Ids of the stack's distribution and API, HTTP rather than REST; "" where it has none."""
    rows = stacks.records(cloud.database.view(), stack_name)
    ready = [row for row in rows if row.state == READY]
    ready = [row for row in ready if row.properties.get("ProtocolType") != "WEBSOCKET"]
    ids = {row.type: row.physical_id for row in reversed(ready)}
    api = ids.get("AWS::ApiGatewayV2::Api") or ids.get("AWS::ApiGateway::RestApi", "")
    return ids.get("AWS::CloudFront::Distribution", ""), api


def _stages(cloud: Cloud, rows: list[Record]) -> Iterator[tuple[str, str]]:
    apis = {row.physical_id: row for row in rows if row.type in dict(_STAGES.values()).values()}
    for row in rows:
        if row.type not in _STAGES:
            continue
        api = apis.get(str(row.properties.get(_STAGES[row.type][0])))
        if api is None:
            continue
        scheme = "ws" if api.properties.get("ProtocolType") == "WEBSOCKET" else "http"
        stage = row.properties.get("StageName", "$default")
        below = "" if stage == "$default" else f"{stage}/"
        path = f"_aws/execute-api/{api.physical_id}/{below}"
        yield api.logical_id, f"{scheme}://localhost:{cloud.config.aws_port}/{path}"


def _function_urls(rows: list[Record]) -> Iterator[tuple[str, str]]:
    for row in rows:
        if row.type == "AWS::Lambda::Url" and row.attributes.get("FunctionUrl"):
            yield row.logical_id, str(row.attributes["FunctionUrl"])


def _websites(rows: list[Record]) -> Iterator[tuple[str, str]]:
    for row in rows:
        if row.type == "AWS::S3::Bucket" and row.properties.get("WebsiteConfiguration"):
            yield row.logical_id, f"{row.attributes['WebsiteURL']}/"
