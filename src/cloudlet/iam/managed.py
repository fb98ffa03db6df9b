"""AWS-managed policies that serverless templates name. Their documents are AWS's, by meaning.

https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]
PREFIX = "arn:aws:iam::aws:policy/"


def _allow(*actions: str) -> Document:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
    }


_LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
_XRAY = (
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules"),
    *("xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries"),
)
_NETWORK = (
    *("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
    *("ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses"),
    "ec2:UnassignPrivateIpAddresses",
)
_STREAM = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
_READ_ONLY = (
    *("s3:Get*", "s3:List*", "dynamodb:BatchGet*", "dynamodb:Describe*", "dynamodb:Get*"),
    *("dynamodb:List*", "dynamodb:PartiQLSelect", "dynamodb:Query", "dynamodb:Scan"),
    *("lambda:Get*", "lambda:List*", "apigateway:GET", "events:Describe*", "events:List*"),
    *("events:Test*", "scheduler:Get*", "scheduler:List*", "sqs:Get*", "sqs:List*"),
    *("sqs:Receive*", "sns:Get*", "sns:List*", "logs:Describe*", "logs:Filter*", "logs:Get*"),
    *("logs:List*", "iam:Get*", "iam:List*", "cloudformation:Describe*", "cloudfront:Get*"),
    *("cloudformation:Get*", "cloudformation:List*", "cloudfront:List*", "cloudwatch:Get*"),
    *("cloudwatch:List*", "cloudwatch:Describe*", "xray:Get*", "xray:BatchGet*"),
)

# Path and name behind PREFIX → document
POLICIES: Mapping[str, Document] = {
    "AdministratorAccess": _allow("*"),
    "ReadOnlyAccess": _allow(*_READ_ONLY),
    "AmazonS3FullAccess": _allow("s3:*", "s3-object-lambda:*"),
    "AmazonS3ReadOnlyAccess": _allow("s3:Get*", "s3:List*", "s3:Describe*"),
    "AmazonDynamoDBFullAccess": _allow("dynamodb:*"),
    "AmazonDynamoDBReadOnlyAccess": _allow(
        *("dynamodb:BatchGetItem", "dynamodb:Describe*", "dynamodb:List*", "dynamodb:GetItem"),
        *("dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect"),
    ),
    "AmazonSQSFullAccess": _allow("sqs:*"),
    "AmazonSNSFullAccess": _allow("sns:*"),
    "AmazonEventBridgeFullAccess": _allow("events:*", "schemas:*", "scheduler:*", "pipes:*"),
    "AWSLambda_FullAccess": _allow("lambda:*", "logs:*", "iam:GetRole", "iam:PassRole"),
    "AWSLambda_ReadOnlyAccess": _allow("lambda:Get*", "lambda:List*"),
    "AWSXrayWriteOnlyAccess": _allow(*_XRAY),
    "AWSXRayDaemonWriteAccess": _allow(*_XRAY),
    "CloudWatchLogsFullAccess": _allow("logs:*", "cloudwatch:GenerateQuery"),
    "service-role/AWSLambdaBasicExecutionRole": _allow(*_LOGS),
    "service-role/AWSLambdaVPCAccessExecutionRole": _allow(*_LOGS, *_NETWORK),
    "service-role/AWSLambdaRole": _allow("lambda:InvokeFunction"),
    "service-role/AWSLambdaDynamoDBExecutionRole": _allow(
        *(f"dynamodb:{name}" for name in _STREAM), *_LOGS
    ),
    "service-role/AWSLambdaKinesisExecutionRole": _allow(
        *(f"kinesis:{name}" for name in (*_STREAM, "DescribeStreamSummary", "ListShards")), *_LOGS
    ),
    "service-role/AWSLambdaSQSQueueExecutionRole": _allow(
        *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"), *_LOGS
    ),
    "service-role/AmazonAPIGatewayPushToCloudWatchLogs": _allow(
        *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogGroups"),
        *("logs:DescribeLogStreams", "logs:PutLogEvents", "logs:GetLogEvents"),
        "logs:FilterLogEvents",
    ),
}


def document(arn: str) -> Document | None:
    return POLICIES.get(arn.removeprefix(PREFIX)) if arn.startswith(PREFIX) else None
