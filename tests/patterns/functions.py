"""Patterns around a function: versions, layers, URLs, destinations, what it writes to."""

import json
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.patterns.pattern import Deployed, pattern


def signed(stack: Deployed, url: str, service: str = "lambda") -> Any:
    """A GET, signed as `curl --aws-sigv4` does."""
    request = AWSRequest("GET", url, headers={})
    key = stack.server.root_key
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    return stack.http("GET", url, headers=dict(request.headers.items()))


def _told(stack: Deployed, logical_id: str, event: Any) -> None:
    """Invokes asynchronously."""
    stack.client("lambda").invoke(
        FunctionName=stack.resources[logical_id], InvocationType="Event", Payload=json.dumps(event)
    )


@pattern("lambda")
def simple(stack: Deployed) -> None:
    """An asynchronous invocation is logged."""
    _told(stack, "SimpleFunction", {"name": "Ben"})
    stack.logged("SimpleFunction", "Ben")


@pattern("lambda-version-alias")
def version(stack: Deployed) -> None:
    """The alias `dev` leads to version 1."""
    answer = stack.invoke(f"{stack.resources['lambdaFunctionAlias']}:dev")
    assert "version 1" in json.dumps(answer)


@pattern("lambda-layer")
def layer(stack: Deployed) -> None:
    """The function with the layer imports PyMySQL, the one without does not."""
    assert stack.invoke("PyMySQLLayerLambdaFunction") is True
    without = stack.client("lambda").invoke(
        FunctionName=stack.resources["PyMySQLNoLayerLambdaFunction"]
    )
    assert "pymysql" in without["Payload"].read().decode()


@pattern("lambda-s3", DestinationBucketName="from-lambda")
def to_bucket(stack: Deployed) -> None:
    """The function writes an object."""
    assert stack.invoke("PutObjectFunction") is True
    found = stack.client("s3").get_object(Bucket="from-lambda", Key="filename.txt")
    assert found["Body"].read() == b"Hello World"


@pattern("lambda-s3-async-lambda", PayloadBucketName="large-payloads")
def to_function(stack: Deployed) -> None:
    """A small payload goes straight to the second function."""
    stack.invoke("SendPayloadFunction", {"key": "value"})
    stack.logged("AsynchronousFunction", "Async invoke event")


@pattern("lambda-ssm-parameter")
def parameter(stack: Deployed) -> None:
    """The function puts and gets a parameter."""
    put = {"method": "PUT", "body": '{"key1": "value1"}'}
    assert stack.invoke("LambdaFunction", put)["statusCode"] == 200
    got = stack.invoke("LambdaFunction", {"method": "GET", "body": ""})
    assert "value1" in got["body"]


@pattern("lambda-destinations-sam")
def queue_destination(stack: Deployed) -> None:
    """Success reaches a function, failure a queue."""
    _told(stack, "MainLambdaFunction", {})
    stack.logged("OnSuccessLambdaFunction", "requestContext")
    _told(stack, "MainLambdaFunction", {"type": "failure"})
    queue = stack.client("sqs").get_queue_url(
        QueueName=stack.resources["OnFailureSqsQueue"].rsplit("/", 1)[-1]
    )["QueueUrl"]
    assert "failure" in stack.received(queue)["Body"]


@pattern("lambda-function-url")
def url(stack: Deployed) -> None:
    """403 unsigned, the answer signed."""
    address = stack.outputs["FunctionURLEndpoint"]
    assert stack.http("GET", address).status == 403
    assert signed(stack, address).status == 200


@pattern("lambda-streaming-ttfb-write-sam")
def streamed(stack: Deployed) -> None:
    """The signed call gets the streamed answer."""
    answer = signed(stack, stack.outputs["StreamingFunctionURL"])
    assert answer.status == 200 and answer.data, answer.status


@pattern("cloudfront-lambdafunctionurl-oac-sam")
def behind_cloudfront(stack: Deployed) -> None:
    """The URL itself is forbidden; the distribution, which signs, gets the answer as soon as it may
    invoke the function, too: AWS has asked for this second permission since October 2025."""
    assert stack.http("GET", stack.outputs["LambdaFunctionUrl"]).status == 403
    assert stack.server.http.request("GET", stack.server.url).status == 403
    distribution = stack.outputs["CloudFrontDistributionId"]
    stack.client("lambda").add_permission(
        FunctionName=stack.resources["MyCFNToLambda"], StatementId="invoke",
        Action="lambda:InvokeFunction", Principal="cloudfront.amazonaws.com",
        SourceArn=f"arn:aws:cloudfront::000000000000:distribution/{distribution}",
    )  # fmt: skip
    answer = stack.server.http.request("GET", stack.server.url)
    assert b"Hello from AWS" in answer.data, answer.data


@pattern("cfn-custom-resource-s3-create", ExistingS3Bucket="")
def custom_resource(stack: Deployed) -> None:
    """The custom resource has put index.html into the new bucket."""
    bucket = stack.outputs["S3BucketName"]
    keys = stack.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in keys] == ["index.html"]


@pattern("cloudwatch-logs-subscription-lambda-sam")
def subscription(stack: Deployed) -> None:
    """What the generator logs reaches the subscriber."""
    stack.invoke("LogsGeneratorFunction")
    stack.logged("LogsSubscriberFunction", "logEvents")
