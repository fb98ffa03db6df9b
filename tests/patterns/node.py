"""Patterns whose functions are Node.js, some with the AWS SDK that AWS's runtimes bring."""

import json
from pathlib import Path

from tests.patterns.functions import signed
from tests.patterns.http import open_socket
from tests.patterns.pattern import Deployed, pattern


def _folder(stack: Deployed) -> Path:
    """The pattern's own."""
    assert stack.server.template is not None
    return stack.server.template.parent


@pattern("serverless-multi-tenant-api")
def tenants(stack: Deployed) -> None:
    """The authorizer knows the tenant by its API key (the table's keys begin with K#, other than
    the README says); what a tenant posts it gets back."""
    key = stack.client("apigateway").get_api_key(
        apiKey=stack.outputs["TestApiKeyOutput"], includeValue=True
    )["value"]
    item = {"PK": {"S": f"K#{key}"}, "TENANT_ID": {"S": "TENANT1"}}
    stack.client("dynamodb").put_item(TableName=stack.outputs["DynamoDBTableName"], Item=item)
    url, headers = stack.outputs["WebEndpoint"], {"x-api-key": key}
    sent = {"id": "id1", "name": "name1"}
    assert stack.http("POST", url, json=sent).status in (401, 403)
    posted = stack.http("POST", url, json=sent, headers=headers)
    assert (posted.status, posted.json()) == (200, sent), posted.data
    got = stack.http("GET", f"{url}id1", headers=headers)
    assert got.status == 200 and got.json()["name"] == "name1", got.data


@pattern("dynamodb-streams-lambda-eventbridge-sam-node")
def stream_to_bus(stack: Deployed) -> None:
    """An item added to the table becomes an event, whose acceptance the function logs."""
    table = stack.resources["MyTable"]
    stack.client("dynamodb").put_item(TableName=table, Item={"id": {"S": "a new item"}})
    stack.logged("MyFunction", "EventId")


@pattern("apigw-websocket-api-sqs-lambda")
def socket_to_queue(stack: Deployed) -> None:
    """A message goes into the queue; the function answers it to its connection."""
    with open_socket(stack, stack.outputs["WebsocketURI"]) as client:
        client.send(json.dumps({"MessageGroupId": "1", "text": "hello"}))
        answer = json.loads(client.recv(timeout=60))
    assert json.loads(answer["message"])["text"] == "hello"


@pattern("apigw-websocket-mapping-template-authorizer")
def mapped_socket(stack: Deployed) -> None:
    """Connecting takes the token; a message reaches the connection by way of the function."""
    stage = stack.client("apigatewayv2").get_stages(ApiId=stack.resources["WebsocketApi"])
    name = stage["Items"][0]["StageName"]
    host = f"{stack.resources['WebsocketApi']}.execute-api.us-east-1.amazonaws.com"
    with open_socket(stack, f"wss://{host}/{name}", token="hello") as client:
        client.send(stack.outputs["PayloadJson"])
        assert "good job" in str(client.recv(timeout=60))


@pattern("lambda-streaming-ttfb-write-sam-with-dynamodb")
def streamed_scan(stack: Deployed) -> None:
    """One URL fills the table, the other streams it page by page; both want signatures."""
    url = stack.outputs["DataDumpFunctionURL"]
    assert stack.http("GET", url).status == 403
    assert signed(stack, url).data == b"Data dump successful"
    answer = signed(stack, stack.outputs["StreamingFunctionURL"])
    assert answer.headers["content-type"] == "text/html"
    assert answer.data.startswith(b'[{"') and len(answer.data) > 100_000


@pattern("lambda-esm-ddb-filters-sam")
def filtered(stack: Deployed) -> None:
    """Each function gets the records that its filters take, and no others."""
    records = _folder(stack) / "records"
    for file in sorted(records.iterdir()):
        item = json.loads(file.read_text())
        stack.client("dynamodb").put_item(TableName="table-lambda-esm-filter", Item=item)
    names = {item.stem for item in records.iterdir()}
    for function, wanted in (
        ("NoFilterFunction", names),
        ("FilterEventsFunction", {"base-record", "code-is-300", "rbac-is-set"}),
        ("FilterEventsAndResponseCodeFunction", {"code-is-300"}),
    ):
        for name in wanted:
            stack.logged(function, f'"S":"{name}"')
        told = stack.lines(f"/aws/lambda/{stack.resources[function]}")
        assert not any(f'"S":"{name}"' in line for name in names - wanted for line in told)


@pattern("cloudfront-s3-oac-sam", DeploymentName="a-site")
def site(stack: Deployed) -> None:
    """The distribution shows the bucket's page; nobody else reads the bucket."""
    bucket = next(name for key, name in stack.resources.items() if key.endswith("Bucket"))
    page = (_folder(stack) / "sample-site" / "index.html").read_bytes()
    stack.client("s3").put_object(Bucket=bucket, Key="index.html", Body=page)
    assert stack.http("GET", f"https://{bucket}.s3.amazonaws.com/index.html").status == 403
    answer = stack.server.http.request("GET", f"{stack.server.url}/index.html")
    assert (answer.status, answer.data) == (200, page)


@pattern("apigw-s3-proxy")
def proxy(stack: Deployed) -> None:
    """A signed GET through the API answers the object; an unsigned one is refused."""
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="mybucket")
    s3.put_object(Bucket="mybucket", Key="folder1/index.html", Body=b"<p>here</p>",
                  ContentType="text/html")  # fmt: skip
    url = f"https://{stack.resources['AppApi']}.execute-api.us-east-1.amazonaws.com/Prod"
    assert stack.http("GET", f"{url}/mybucket/folder1/index.html").status == 403
    answer = signed(stack, f"{url}/mybucket/folder1/index.html", "execute-api")
    assert (answer.status, answer.data) == (200, b"<p>here</p>"), answer.data


@pattern("apigw-lambda-authorizer-custom-header")
def enriched(stack: Deployed) -> None:
    """Without a token 401, with another one 403; with the right one the service behind is asked."""
    url = stack.outputs["AppApiEndpoint"]
    assert stack.http("GET", url).status == 401
    assert stack.http("GET", url, headers={"authorizationToken": "deny"}).status == 403
    answer = stack.http("GET", url, headers={"authorizationToken": "allow"})
    if answer.status == 200:  # the service, httpbin.org, can be reached
        assert "This data comes from Lambda Authorizer" in answer.data.decode()
    else:
        assert answer.status in (500, 504), answer.data


@pattern("apigw-mappingtemplate-lambda-nodejs")
def mapped(stack: Deployed) -> None:
    """GET answers what the function makes of the mapping template's event."""
    api = stack.client("apigateway").get_rest_apis()["items"][0]["id"]
    url = f"https://{api}.execute-api.us-east-1.amazonaws.com/prod/"
    answer = stack.http("GET", url)
    assert answer.status == 200 and answer.data, answer.data
