"""IAM through boto3: users, roles and bucket policies, enforced on every call."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.conformance.building import ACCOUNT, allow, arn, policy, zipped
from tests.server import Server


def client_of(server: Server, key: dict[str, Any], service: str) -> Any:
    settings = {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
        "aws_session_token": key.get("SessionToken"),
    }
    return server.client(service, **settings)


def make_user(server: Server, name: str, *statements: dict[str, Any]) -> dict[str, Any]:
    iam = server.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
    key: dict[str, Any] = iam.create_access_key(UserName=name)["AccessKey"]
    return key


def refusal(call: Any, **params: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    error: dict[str, Any] = refused.value.response["Error"]
    return error


@pytest.fixture
def name(names: Iterator[str]) -> str:
    return next(names)


def test_a_narrow_policy(server: Server, bucket: str, name: str) -> None:
    objects = f"arn:aws:s3:::{bucket}/in/*"
    key = make_user(server, name, allow(["s3:PutObject", "s3:GetObject"], objects))
    s3 = client_of(server, key, "s3")
    s3.put_object(Bucket=bucket, Key="in/k", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="in/k")["Body"].read() == b"x"
    error = refusal(s3.put_object, Bucket=bucket, Key="out", Body=b"x")
    assert error["Code"] == "AccessDenied"
    who = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert error["Message"] == (
        f"User: {who} is not authorized to perform: s3:PutObject on resource:"
        f' "arn:aws:s3:::{bucket}/out" because no identity-based policy allows the s3:PutObject'
        " action"
    )
    assert refusal(s3.list_objects_v2, Bucket=bucket)["Code"] == "AccessDenied"
    assert refusal(s3.delete_object, Bucket=bucket, Key="in/k")["Code"] == "AccessDenied"
    # without ListBucket nobody learns whether a key exists
    assert refusal(s3.get_object, Bucket=bucket, Key="in/none")["Code"] == "AccessDenied"
    for service, operation in (
        ("dynamodb", "list_tables"),
        ("lambda", "list_functions"),
        ("sqs", "list_queues"),
        ("events", "list_rules"),
        ("apigatewayv2", "get_apis"),
        ("iam", "list_users"),
    ):
        error = refusal(getattr(client_of(server, key, service), operation))
        assert "AccessDenied" in error["Code"], (service, error)
    identity = client_of(server, key, "sts").get_caller_identity()  # needs no permission
    assert identity["Arn"] == who


def test_explicit_deny_wins(server: Server, name: str) -> None:
    dynamodb = server.client("dynamodb")
    for table in (f"{name}-a", f"{name}-b"):
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    deny = {**allow("dynamodb:*", arn("dynamodb", f"table/{name}-b")), "Effect": "Deny"}
    key = make_user(server, name, allow("*"), deny)
    client = client_of(server, key, "dynamodb")
    assert client.scan(TableName=f"{name}-a")["Count"] == 0
    error = refusal(client.scan, TableName=f"{name}-b")
    assert error["Code"] == "AccessDeniedException"
    assert "with an explicit deny in an identity-based policy" in error["Message"]


def test_conditions(server: Server, bucket: str, name: str) -> None:
    listing = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    listing["Condition"] = {"StringLike": {"s3:prefix": ["home/${aws:username}/*"]}}
    s3 = client_of(server, make_user(server, name, listing), "s3")
    assert s3.list_objects_v2(Bucket=bucket, Prefix=f"home/{name}/x")["KeyCount"] == 0
    error = refusal(s3.list_objects_v2, Bucket=bucket, Prefix="home/other/")
    assert error["Code"] == "AccessDenied"


def test_bucket_policies(server: Server, bucket: str, name: str) -> None:
    root, key = server.client("s3"), make_user(server, name, allow("sqs:ListQueues"))
    s3 = client_of(server, key, "s3")
    root.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert refusal(s3.get_object, Bucket=bucket, Key="k")["Code"] == "AccessDenied"
    objects = f"arn:aws:s3:::{bucket}/*"
    user = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{name}"}
    grant = {**allow("s3:GetObject", objects), "Principal": user}
    root.put_bucket_policy(Bucket=bucket, Policy=policy(grant))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    plain = f"{server.endpoint}/{bucket}/k"
    assert server.http.request("GET", plain).status == 403  # only that user
    public = policy({**grant, "Principal": "*"})
    error = refusal(root.put_bucket_policy, Bucket=bucket, Policy=public)
    assert error["Code"] == "AccessDenied"  # new buckets block public policies
    root.delete_public_access_block(Bucket=bucket)
    root.put_bucket_policy(Bucket=bucket, Policy=public)
    assert server.http.request("GET", plain).data == b"x"
    deny = {**grant, "Effect": "Deny", "Principal": "*"}
    root.put_bucket_policy(Bucket=bucket, Policy=policy(deny))
    assert (
        "explicit deny in a resource-based policy"
        in (refusal(root.get_object, Bucket=bucket, Key="k")["Message"])
    )


def test_assumed_roles(server: Server, bucket: str, name: str) -> None:
    user = make_user(server, name, allow("sts:AssumeRole"), allow("s3:ListAllMyBuckets"))
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{name}"},
        "Action": "sts:AssumeRole",
    }
    iam = server.client("iam")
    role = iam.create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument=policy(trust))["Role"]
    iam.put_role_policy(
        RoleName=f"{name}-role",
        PolicyName="own",
        PolicyDocument=policy(
            allow("s3:*", [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"])
        ),
    )
    sts = client_of(server, user, "sts")
    session = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="visit")["Credentials"]
    s3 = client_of(server, session, "s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert refusal(s3.list_buckets)["Code"] == "AccessDenied"  # the role's rights, not the user's
    arn_ = client_of(server, session, "sts").get_caller_identity()["Arn"]
    assert arn_ == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}-role/visit"
    narrow = sts.assume_role(
        RoleArn=role["Arn"],
        RoleSessionName="narrow",
        Policy=policy(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")),
    )["Credentials"]
    s3 = client_of(server, narrow, "s3")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    error = refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"y")
    assert "no session policy allows" in error["Message"]
    stranger = make_user(server, f"{name}-stranger", allow("sts:AssumeRole"))
    error = refusal(
        client_of(server, stranger, "sts").assume_role,
        RoleArn=role["Arn"],
        RoleSessionName="one",
    )
    assert error["Code"] == "AccessDenied"


def test_session_tokens(server: Server, name: str) -> None:
    iam = server.client("iam")
    trust = {**allow("sts:AssumeRole"), "Principal": {"AWS": ACCOUNT}}
    del trust["Resource"]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(allow("*")))
    key = make_user(server, f"{name}-user", allow("sts:AssumeRole", role))
    sts = client_of(server, key, "sts")
    session = sts.assume_role(RoleArn=role, RoleSessionName="one")["Credentials"]
    other = sts.assume_role(RoleArn=role, RoleSessionName="two")["Credentials"]
    client_of(server, session, "s3").list_buckets()
    swapped = {**session, "SessionToken": other["SessionToken"]}
    assert refusal(client_of(server, swapped, "s3").list_buckets)["Code"] == "InvalidToken"
    error = refusal(client_of(server, swapped, "dynamodb").list_tables)
    assert error["Code"] == "UnrecognizedClientException"
    without = {**session, "SessionToken": None}
    assert refusal(client_of(server, without, "s3").list_buckets)["Code"] == "InvalidAccessKeyId"


def test_keys_that_are_gone(server: Server, name: str) -> None:
    iam = server.client("iam")
    key = make_user(server, name, allow("s3:ListAllMyBuckets"))
    s3 = client_of(server, key, "s3")
    s3.list_buckets()
    iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refusal(s3.list_buckets)["Code"] == "InvalidAccessKeyId"
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    assert refusal(s3.list_buckets)["Code"] == "InvalidAccessKeyId"


def test_whom_a_role_trusts_is_checked_for_services(server: Server, name: str) -> None:
    trust = {**allow("sts:AssumeRole"), "Principal": {"Service": "ec2.amazonaws.com"}}
    del trust["Resource"]
    made = server.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
    with pytest.raises(ClientError) as refused:
        server.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="app.handler",
            Role=made["Role"]["Arn"],
            Code={"ZipFile": zipped("")},
        )
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert "cannot be assumed by Lambda" in refused.value.response["Error"]["Message"]


def test_default_credentials_chain(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `cloudlet env` prints suffices for an unconfigured client."""
    key = server.root_key
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    identity = boto3.Session().client("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
