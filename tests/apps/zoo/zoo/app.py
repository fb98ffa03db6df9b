"""A zoo behind a REST API."""

import json


def handler(event, context):
    who = (event["requestContext"].get("authorizer") or {}).get("principalId")
    body = {"id": (event["pathParameters"] or {}).get("id"), "who": who}
    return {"statusCode": 200, "body": json.dumps(body)}


def allow(event, context):
    effect = "Allow" if event["authorizationToken"] == "keeper" else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "keeper", "policyDocument": document}
