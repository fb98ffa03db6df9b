"""A hostile user of one account, who may do everything there, and another account beside it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.building import allow, policy, zipped
from tests.conformance.test_accounts import Account, make_function, make_table, refusal
from tests.server import Server

pytestmark = pytest.mark.fault
SPY = """
import os
def handler(event, context):
    found = {}
    for path in event:
        try:
            found[path] = os.listdir(path) if os.path.isdir(path) else open(path).read()
        except OSError as error:
            found[path] = None
    return found
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("hostile") / "data").start()
    yield server
    server.stop()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def hostile(server: Server) -> Account:
    return Account.made(server, "hostile").user("mallory", allow("*"))


@pytest.fixture(scope="module")
def victim(server: Server) -> Account:
    """With something of everything, and policies that open nothing to others."""
    account = Account.made(server, "victim")
    account.client("s3").create_bucket(Bucket="vault")
    account.client("s3").put_object(Bucket="vault", Key="k", Body=b"secret")
    make_table(account, "vault")
    make_function(account, "vault", "secret ")
    account.client("sqs").create_queue(QueueName="vault")
    return account


def arn(account: Account, service: str, resource: str) -> str:
    return f"arn:aws:{service}:us-east-1:{account.id}:{resource}"


def test_a_forged_key_is_nobodys(server: Server, hostile: Account, victim: Account) -> None:
    """Keys tell their account, secrets prove it."""
    forged = Account(server, victim.id, victim.key, "x" * 40)
    assert refusal(forged.client("s3").list_buckets) == "SignatureDoesNotMatch"
    unknown = Account(server, victim.id, victim.key[:-2] + "AA", "x" * 40)
    assert refusal(unknown.client("s3").list_buckets) == "InvalidAccessKeyId"
    stolen = Account(server, victim.id, victim.key, hostile.secret)
    assert refusal(stolen.client("sts").get_caller_identity) == "SignatureDoesNotMatch"


def test_addresses_and_urls_open_nothing(server: Server, hostile: Account, victim: Account) -> None:
    s3 = hostile.client("s3")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "vault", "Key": "k"})
    assert server.http.request("GET", url).status == 403
    plain = f"{server.endpoint}/vault/k"
    assert server.http.request("GET", plain).status == 403
    website = server.http.request(
        "GET", f"{server.endpoint}/k", headers={"Host": "vault.s3-website.localhost"}
    )
    assert b"secret" not in website.data
    post = s3.generate_presigned_post("vault", "posted")
    fields = {**post["fields"], "file": ("f", b"x")}
    assert server.http.request("POST", post["url"], fields=fields).status >= 400
    copied = {"Bucket": "vault", "Key": "k"}
    s3.create_bucket(Bucket="loot")
    assert refusal(s3.copy_object, Bucket="loot", Key="k", CopySource=copied) in (
        "AccessDenied",
        "NoSuchBucket",
    )
    assert s3.list_objects_v2(Bucket="loot")["KeyCount"] == 0


def test_what_cloudlet_does_for_one_account_is_not_trusted_in_another(
    hostile: Account, victim: Account
) -> None:
    """Templates are deployed by cloudlet itself."""
    statement = {
        **allow("s3:*", ["arn:aws:s3:::vault", "arn:aws:s3:::vault/*"]),
        "Principal": {"AWS": f"arn:aws:iam::{hostile.id}:root"},
    }
    document = json.loads(policy(statement))
    function = arn(victim, "lambda", "function:vault")
    grant = {"Action": "lambda:InvokeFunction", "Principal": hostile.id, "FunctionName": function}
    for number, (kind, properties) in enumerate(
        (
            ("AWS::S3::BucketPolicy", {"Bucket": "vault", "PolicyDocument": document}),
            ("AWS::Lambda::Permission", grant),
            ("AWS::S3::Bucket", {"BucketName": "vault"}),
        )
    ):
        body = {"Resources": {"R": {"Type": kind, "Properties": properties}}}
        cloudformation, name = hostile.client("cloudformation"), f"raid-{number}"
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(body))
        waiter = cloudformation.get_waiter("stack_create_complete")
        with pytest.raises(Exception, match=r"ROLLBACK|FAILED"):
            waiter.wait(StackName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 450})
    code = refusal(hostile.client("s3").get_object, Bucket="vault", Key="k")
    assert code == "AccessDenied"
    code = refusal(hostile.client("lambda").invoke, FunctionName=function)
    assert code == "AccessDeniedException"
    assert victim.client("s3").list_objects_v2(Bucket="vault")["KeyCount"] == 1


def test_events_for_others_go_nowhere(hostile: Account, victim: Account) -> None:
    events, queue = hostile.client("events"), arn(victim, "sqs", "vault")
    events.put_rule(Name="raid", EventPattern='{"source": ["raid"]}')
    targets = [
        {"Id": "q", "Arn": queue},
        {"Id": "f", "Arn": arn(victim, "lambda", "function:vault")},
        {"Id": "b", "Arn": arn(victim, "events", "event-bus/default")},
    ]
    for target in targets:
        try:
            events.put_targets(Rule="raid", Targets=[target])
        except ClientError:
            continue
    entry = {"Source": "raid", "DetailType": "d", "Detail": "{}"}
    events.put_events(Entries=[entry])
    sqs = victim.client("sqs")
    url = sqs.get_queue_url(QueueName="vault")["QueueUrl"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)


def test_no_role_is_lent_to_another_accounts_functions(hostile: Account, victim: Account) -> None:
    role = victim.client("iam").get_role(RoleName="vault-role")["Role"]["Arn"]
    code = refusal(
        hostile.client("lambda").create_function,
        FunctionName="thief",
        Runtime="python3.12",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": zipped("handler = None\n")},
    )
    assert code in ("AccessDeniedException", "InvalidParameterValueException")
    names = {"UserName": "mallory", "PolicyArn": f"arn:aws:iam::{victim.id}:policy/any"}
    assert refusal(hostile.client("iam").attach_user_policy, **names) == "NoSuchEntity"


def test_functions_see_no_other_accounts_files(
    server: Server, hostile: Account, victim: Account
) -> None:
    make_function(hostile, "spy", "")
    hostile.client("lambda").update_function_code(FunctionName="spy", ZipFile=zipped(SPY))
    hostile.client("lambda").get_waiter("function_updated_v2").wait(FunctionName="spy")
    own = server.data / "accounts" / victim.id
    paths = [server.data / "root-key.json", own, own / "root-key.json"]
    asked = json.dumps([str(path) for path in [*paths, own / "cloudlet.db"]]).encode()
    answer = hostile.client("lambda").invoke(FunctionName="spy", Payload=asked)
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    assert found and not any(found.values()), found


def test_nobody_takes_the_name_of_this_machine(server: Server, hostile: Account) -> None:
    """Requests to every account come under these names, with their signatures."""
    gateway = hostile.client("apigatewayv2")
    api = gateway.create_api(Name="trap", ProtocolType="HTTP")["ApiId"]
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    certificate = arn(hostile, "acm", "certificate/c")
    for host in ("localhost", "127.0.0.1", "s3.us-east-1.amazonaws.com", "vault.localhost"):
        settings = [{"CertificateArn": certificate}]
        try:
            gateway.create_domain_name(DomainName=host, DomainNameConfigurations=settings)
            gateway.create_api_mapping(ApiId=api, DomainName=host, Stage="$default")
        except ClientError:
            continue
    assert server.client("s3").list_buckets()["Buckets"] == []
    for host in ("s3.us-east-1.amazonaws.com", "vault.localhost"):
        answer = server.http.request("GET", server.endpoint, headers={"Host": host})
        assert answer.status == 403 and b"<Code>AccessDenied</Code>" in answer.data
    answer = server.http.request("GET", f"http://localhost:{server.aws_port}/_cloudlet/health")
    assert answer.json()["ready"]
    front = server.http.request("GET", server.url)
    assert b"Nothing that is deployed here answers" in front.data


def test_a_host_is_one_accounts_alone(hostile: Account, victim: Account) -> None:
    """Else whoever comes first in the process would answer for the other."""

    def settings(account: Account) -> list[dict[str, str]]:
        return [{"CertificateArn": arn(account, "acm", "certificate/c")}]

    name = "api.victim.example"
    gateway = victim.client("apigatewayv2")
    gateway.create_domain_name(DomainName=name, DomainNameConfigurations=settings(victim))
    mine = hostile.client("apigatewayv2").create_domain_name
    for taken in (name, name.upper(), "*.victim.example"):
        code = refusal(mine, DomainName=taken, DomainNameConfigurations=settings(hostile))
        assert code == "ConflictException"
    rest = hostile.client("apigateway").create_domain_name
    certificate = settings(hostile)[0]["CertificateArn"]
    assert refusal(rest, domainName=name, certificateArn=certificate) == "ConflictException"
    config = {
        "CallerReference": "raid",
        "Aliases": {"Quantity": 1, "Items": [name]},
        "Origins": {
            "Quantity": 1,
            "Items": [
                {
                    "Id": "o",
                    "DomainName": "example.org",
                    "CustomOriginConfig": {
                        "HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only",
                    },
                }
            ],
        },
        "DefaultCacheBehavior": {
            "TargetOriginId": "o",
            "ViewerProtocolPolicy": "allow-all",
            "MinTTL": 0,
            "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}},
        },
        "Comment": "",
        "Enabled": True,
    }  # fmt: skip
    made = hostile.client("cloudfront").create_distribution
    assert refusal(made, DistributionConfig=config) == "CNAMEAlreadyExists"
