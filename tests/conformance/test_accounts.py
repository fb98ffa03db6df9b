"""Several accounts on one cloudlet: each is alone, unless policies of both sides say otherwise."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from cloudlet import cli
from tests.conformance.building import ACCOUNT, allow, eventually, message, policy, zipped
from tests.server import Server

HANDLER = """
import boto3
def handler(event, context):
    return NAME + boto3.client("sts").get_caller_identity()["Account"]
"""


def command(data: Path, *words: str) -> str:
    result = CliRunner().invoke(cli.cli, ["account", *words, "--data", str(data)])
    assert result.exit_code == 0, result.output
    return result.output


class Account:
    """An account, by its root or by a user of it."""

    def __init__(self, server: Server, id_: str, key: str, secret: str, token: str = "") -> None:
        self.server, self.id, self.key, self.secret = server, id_, key, secret
        self._settings = {"aws_access_key_id": key, "aws_secret_access_key": secret}
        if token:
            self._settings["aws_session_token"] = token

    @classmethod
    def made(cls, server: Server, name: str) -> "Account":
        lines = command(server.data, "create", name).splitlines()
        return cls(server, *(line.split()[-1] for line in lines))

    def client(self, service: str) -> Any:
        return self.server.client(service, **self._settings)

    def user(self, name: str, *statements: dict[str, Any]) -> "Account":
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Account(self.server, self.id, key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("accounts") / "data").start()
    yield server
    server.stop()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def one(server: Server) -> Account:
    return Account.made(server, "one")


@pytest.fixture(scope="module")
def two(server: Server) -> Account:
    return Account.made(server, "two")


def refusal(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**params)
    return str(refused.value.response["Error"]["Code"])


def make_table(account: Account, name: str) -> None:
    account.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def make_function(account: Account, name: str, text: str) -> str:
    trust = {**allow("sts:AssumeRole"), "Principal": {"Service": "lambda.amazonaws.com"}}
    del trust["Resource"]
    role = account.client("iam").create_role(
        RoleName=f"{name}-role", AssumeRolePolicyDocument=policy(trust)
    )
    made = account.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="app.handler",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": zipped(HANDLER.replace("NAME", repr(text)))},
    )
    return str(made["FunctionArn"])


def test_an_account_is_usable_at_once_and_knows_itself(server: Server, one: Account) -> None:
    identity = one.client("sts").get_caller_identity()
    assert identity["Account"] == one.id
    assert identity["Arn"] == f"arn:aws:iam::{one.id}:root"
    own = server.client("sts").get_caller_identity()
    assert own["Account"] == ACCOUNT
    assert one.client("sts").get_access_key_info(AccessKeyId=one.key)["Account"] == one.id
    listed = command(server.data, "list")
    assert f"{one.id}  one\n" in listed
    assert f"{ACCOUNT}  (default)\n" in listed


def test_the_command(server: Server, one: Account) -> None:
    data = ["--data", str(server.data)]
    shown = CliRunner().invoke(cli.cli, ["env", "--account", one.id, *data]).output
    assert f"export AWS_ACCESS_KEY_ID={one.key}\n" in shown
    asked = CliRunner().invoke(cli.cli, ["account", "delete", one.id, *data], input="n\n")
    assert asked.exit_code == 1 and "Aborted!" in asked.output
    for words, told in (
        (["account", "delete", ACCOUNT, "--yes"], "cannot be deleted"),
        (["account", "delete", "123123123123", "--yes"], "there is no account"),
        (["env", "--account", "../.."], "there is no account"),
    ):
        refused = CliRunner().invoke(cli.cli, [*words, *data])
        assert refused.exit_code == 1 and told in str(refused.exception)
    assert one.client("sts").get_caller_identity()["Account"] == one.id


def test_the_same_names_never_cross(server: Server, one: Account, two: Account) -> None:
    for account in (one, two):
        make_table(account, "items")
        item = {"k": {"S": "a"}, "whose": {"S": account.id}}
        account.client("dynamodb").put_item(TableName="items", Item=item)
        queue = account.client("sqs").create_queue(QueueName="jobs")["QueueUrl"]
        account.client("sqs").send_message(QueueUrl=queue, MessageBody=account.id)
        account.client("iam").create_user(UserName="someone")
        account.client("logs").create_log_group(logGroupName="group")
        account.client("s3").create_bucket(Bucket=f"bucket-{account.id}")
        make_function(account, "same", account.id)
    for account in (one, two):
        items = account.client("dynamodb").scan(TableName="items")["Items"]
        assert items == [{"k": {"S": "a"}, "whose": {"S": account.id}}]
        sqs = account.client("sqs")
        queue = sqs.get_queue_url(QueueName="jobs")["QueueUrl"]
        assert f"/{account.id}/" in queue
        assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == account.id
        assert len(account.client("iam").list_users()["Users"]) == 1
        assert len(account.client("logs").describe_log_groups()["logGroups"]) <= 2
        buckets = account.client("s3").list_buckets()["Buckets"]
        assert [each["Name"] for each in buckets] == [f"bucket-{account.id}"]
        answer = account.client("lambda").invoke(FunctionName="same")["Payload"].read()
        assert answer.decode() == f'"{account.id}{account.id}"'
    assert server.client("dynamodb").list_tables()["TableNames"] == []
    assert server.client("s3").list_buckets()["Buckets"] == []
    assert server.client("iam").list_users()["Users"] == []


def test_copies_from_another_accounts_bucket(one: Account, two: Account) -> None:
    """Read over there, in the caller's name: its own policies and the bucket's must allow it."""
    theirs, mine = one.client("s3"), two.client("s3")
    theirs.create_bucket(Bucket="lent")
    mine.create_bucket(Bucket="borrowed")
    body = b"0123456789" * 600_000
    for key in ("open/small", "open/large", "shut"):
        data = body if key == "open/large" else b"small"
        theirs.put_object(
            Bucket="lent", Key=key, Body=data, Metadata={"a": "b"}, Tagging="c=d", ContentType="t/x"
        )
    shared = {"AWS": f"arn:aws:iam::{two.id}:root"}
    statements = [
        {**allow(action, "arn:aws:s3:::lent/open/*"), "Principal": shared}
        for action in ("s3:GetObject", "s3:GetObjectTagging")
    ]
    theirs.put_bucket_policy(Bucket="lent", Policy=policy(*statements))
    for key, data in (("small", b"small"), ("large", body)):
        source = {"Bucket": "lent", "Key": f"open/{key}"}
        mine.copy_object(Bucket="borrowed", Key=key, CopySource=source)
        got = mine.get_object(Bucket="borrowed", Key=key)
        assert got["Body"].read() == data
        assert (got["Metadata"], got["ContentType"], got["TagCount"]) == ({"a": "b"}, "t/x", 1)
        assert got["ETag"] == theirs.head_object(Bucket="lent", Key=f"open/{key}")["ETag"]
    upload = mine.create_multipart_upload(Bucket="borrowed", Key="parts")["UploadId"]
    part = mine.upload_part_copy(
        Bucket="borrowed", Key="parts", UploadId=upload, PartNumber=1,
        CopySource="lent/open/large", CopySourceRange="bytes=5-5242884",
    )["CopyPartResult"]  # fmt: skip
    mine.complete_multipart_upload(
        Bucket="borrowed", Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )  # fmt: skip
    assert mine.get_object(Bucket="borrowed", Key="parts")["Body"].read() == body[5:5242885]
    for source, code in (("lent/shut", "AccessDenied"), ("nobodys-bucket/k", "NoSuchBucket")):
        with pytest.raises(ClientError, match=code):
            mine.copy_object(Bucket="borrowed", Key="k", CopySource=source)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        mine.copy_object(
            Bucket="borrowed", Key="k", CopySource="lent/open/small", CopySourceIfMatch="x"
        )


def test_bucket_names_are_unique_over_all_accounts(one: Account, two: Account) -> None:
    one.client("s3").create_bucket(Bucket="only-one")
    one.client("s3").create_bucket(Bucket="only-one")
    assert refusal(two.client("s3").create_bucket, Bucket="only-one") == "BucketAlreadyExists"
    one.client("s3").delete_bucket(Bucket="only-one")
    two.client("s3").create_bucket(Bucket="only-one")
    assert refusal(one.client("s3").create_bucket, Bucket="only-one") == "BucketAlreadyExists"


def test_a_name_that_all_want_at_once_goes_to_one(server: Server) -> None:
    """Accounts that nobody used before, each opened by many requests at the same time."""
    accounts = [Account.made(server, f"racer-{number}") for number in range(3)]

    def claim(race: tuple[Account, int]) -> bool:
        account, number = race
        try:
            account.client("s3").create_bucket(Bucket=f"race-{number}")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "BucketAlreadyExists"
            return False
        return True

    races = [(account, number) for number in range(6) for account in accounts]
    with ThreadPoolExecutor(len(races)) as pool:
        won = list(pool.map(claim, races))
    assert sum(won) == 6
    buckets = [account.client("s3").list_buckets()["Buckets"] for account in accounts]
    assert sorted(each["Name"] for some in buckets for each in some) == [
        f"race-{number}" for number in range(6)
    ]


def test_nothing_opens_another_account_but_its_own_policies(one: Account, two: Account) -> None:
    """A user who may do everything in one account may do nothing in the other."""
    hostile = one.user("hostile", allow("*"))
    two.client("s3").create_bucket(Bucket="private")
    two.client("s3").put_object(Bucket="private", Key="k", Body=b"secret")
    queue = two.client("sqs").create_queue(QueueName="private")["QueueUrl"]
    make_table(two, "private")
    function = make_function(two, "private", "x")
    role = two.client("iam").get_role(RoleName="private-role")["Role"]["Arn"]
    table = two.client("dynamodb").describe_table(TableName="private")["Table"]["TableArn"]
    for account in (hostile, one):
        s3 = account.client("s3")
        for operation, params in (
            ("get_object", {"Key": "k"}), ("put_object", {"Key": "k", "Body": b""}),
            ("delete_object", {"Key": "k"}), ("list_objects_v2", {}), ("delete_bucket", {}),
            ("get_bucket_policy", {}), ("delete_bucket_policy", {}), ("get_bucket_acl", {}),
            ("put_bucket_policy", {"Policy": policy({
                **allow("s3:*", "arn:aws:s3:::private/*"),
                "Principal": {"AWS": f"arn:aws:iam::{one.id}:root"}})}),
        ):  # fmt: skip
            assert refusal(getattr(s3, operation), Bucket="private", **params) == "AccessDenied"
        sqs = account.client("sqs")
        for call in (sqs.receive_message, sqs.purge_queue, sqs.delete_queue):
            assert "AccessDenied" in refusal(call, QueueUrl=queue)
        lambda_ = account.client("lambda")
        for call in (lambda_.invoke, lambda_.get_function, lambda_.delete_function):
            assert refusal(call, FunctionName=function) == "AccessDeniedException"
        grant = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": one.id}
        code = refusal(lambda_.add_permission, FunctionName=function, **grant)
        assert code == "AccessDeniedException"
        dynamodb = account.client("dynamodb")
        assert refusal(dynamodb.scan, TableName=table) == "AccessDeniedException"
        stream = f"{table}/stream/2026-01-01T00:00:00.000"
        code = refusal(account.client("dynamodbstreams").describe_stream, StreamArn=stream)
        assert code == "AccessDeniedException"
        bus = f"arn:aws:events:us-east-1:{two.id}:event-bus/default"
        entry = {"Source": "s", "DetailType": "d", "Detail": "{}", "EventBusName": bus}
        code = refusal(account.client("events").put_events, Entries=[entry])
        assert code == "AccessDeniedException"
        sts = account.client("sts")
        assert refusal(sts.assume_role, RoleArn=role, RoleSessionName="theft") == "AccessDenied"
        code = refusal(
            lambda_.create_function, FunctionName="thief", Runtime="python3.12", Role=role,
            Handler="app.handler", Code={"ZipFile": zipped("handler = None\n")},
        )  # fmt: skip
        assert code in ("AccessDeniedException", "InvalidParameterValueException")


def test_shared_things_need_both_sides(one: Account, two: Account) -> None:
    may = one.user("visitor", allow(["s3:GetObject", "sqs:SendMessage", "lambda:InvokeFunction"]))
    may_not = one.user("idle", allow("dynamodb:*"))
    two.client("s3").create_bucket(Bucket="shared")
    two.client("s3").put_object(Bucket="shared", Key="k", Body=b"for one")
    guests = {"AWS": f"arn:aws:iam::{one.id}:root"}
    grant = {**allow("s3:GetObject", "arn:aws:s3:::shared/*"), "Principal": guests}
    two.client("s3").put_bucket_policy(Bucket="shared", Policy=policy(grant))
    read = may.client("s3").get_object(Bucket="shared", Key="k")["Body"].read()
    assert read == b"for one"
    assert refusal(may_not.client("s3").get_object, Bucket="shared", Key="k") == "AccessDenied"
    assert refusal(may.client("s3").delete_object, Bucket="shared", Key="k") == "AccessDenied"

    queue = two.client("sqs").create_queue(QueueName="shared")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{two.id}:shared"
    inbox = policy({**allow("sqs:SendMessage", arn), "Principal": guests})
    two.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": inbox})
    may.client("sqs").send_message(QueueUrl=queue, MessageBody="hello")
    messages = two.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    assert [each["Body"] for each in messages] == ["hello"]
    assert "AccessDenied" in refusal(may.client("sqs").receive_message, QueueUrl=queue)

    function = make_function(two, "shared", "shared ")
    two.client("lambda").add_permission(
        FunctionName="shared", StatementId="s", Action="lambda:InvokeFunction", Principal=one.id
    )
    answer = may.client("lambda").invoke(FunctionName=function)["Payload"].read()
    assert answer.decode() == f'"shared {two.id}"'
    code = refusal(may_not.client("lambda").invoke, FunctionName=function)
    assert code == "AccessDeniedException"


def test_a_role_of_another_account(one: Account, two: Account) -> None:
    role = f"arn:aws:iam::{two.id}:role/guest"
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{one.id}:root"},
        "Condition": {"StringEquals": {"sts:ExternalId": "agreed"}},
    }
    two.client("iam").create_role(RoleName="guest", AssumeRolePolicyDocument=policy(trust))
    two.client("iam").put_role_policy(
        RoleName="guest", PolicyName="own", PolicyDocument=policy(allow("iam:ListUsers"))
    )
    sts = one.user("traveller", allow("sts:AssumeRole", role)).client("sts")
    asked = {"RoleArn": role, "RoleSessionName": "trip"}
    assert refusal(sts.assume_role, **asked) == "AccessDenied"
    given = sts.assume_role(ExternalId="agreed", **asked)["Credentials"]
    guest = Account(
        one.server, two.id, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    )
    arn = guest.client("sts").get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{two.id}:assumed-role/guest/trip"
    assert guest.client("iam").list_users()["Users"] == two.client("iam").list_users()["Users"]
    outsider = one.user("outsider", allow("dynamodb:*")).client("sts")
    assert refusal(outsider.assume_role, ExternalId="agreed", **asked) == "AccessDenied"


def test_addresses_lead_to_their_account(server: Server, two: Account) -> None:
    function = make_function(two, "site", "site ")
    anybody = {"StatementId": "s", "Action": "lambda:InvokeFunction"}
    gateway = {**anybody, "Principal": "apigateway.amazonaws.com"}
    two.client("lambda").add_permission(FunctionName="site", **gateway)
    api = two.client("apigatewayv2").create_api(Name="a", ProtocolType="HTTP", Target=function)
    answer = server.http.request("GET", f"{server.endpoint}/_aws/execute-api/{api['ApiId']}/")
    assert answer.data.decode() == f"site {two.id}"
    host = api["ApiEndpoint"].removeprefix("https://")
    answer = server.http.request("GET", server.endpoint, headers={"Host": host})
    assert answer.data.decode() == f"site {two.id}"

    s3 = two.client("s3")
    s3.create_bucket(Bucket="two-site")
    s3.delete_public_access_block(Bucket="two-site")
    public = {**allow("s3:GetObject", "arn:aws:s3:::two-site/*"), "Principal": "*"}
    s3.put_bucket_policy(Bucket="two-site", Policy=policy(public))
    s3.put_object(Bucket="two-site", Key="index.html", Body=b"<p>two</p>")
    s3.put_bucket_website(
        Bucket="two-site", WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}}
    )
    rules = [{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}]
    s3.put_bucket_cors(Bucket="two-site", CORSConfiguration={"CORSRules": rules})
    headers = {"Host": "two-site.s3-website.localhost"}
    answer = server.http.request("GET", server.endpoint, headers=headers)
    assert answer.data == b"<p>two</p>"
    url = f"{server.endpoint}/two-site/index.html"
    answer = server.http.request("GET", url, headers={"Origin": "https://a.example"})
    assert answer.data == b"<p>two</p>"
    assert answer.headers["access-control-allow-origin"] == "*"
    signed = s3.generate_presigned_url(
        "get_object", Params={"Bucket": "two-site", "Key": "index.html"}
    )
    assert server.http.request("GET", signed).status == 200


def test_events_cross_where_the_target_lets_them(one: Account, two: Account) -> None:
    """A bucket of one account tells a function of the other, whose policy names the account."""
    function = make_function(two, "told", "told ")
    two.client("lambda").add_permission(
        FunctionName="told", StatementId="s", Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com", SourceAccount=one.id,
    )  # fmt: skip
    one.client("s3").create_bucket(Bucket="telling")
    told = [{"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}]
    one.client("s3").put_bucket_notification_configuration(
        Bucket="telling",
        NotificationConfiguration={"LambdaFunctionConfigurations": told},
        SkipDestinationValidation=True,
    )
    one.client("s3").put_object(Bucket="telling", Key="k", Body=b"x")
    logs = two.client("logs")

    def was_invoked() -> bool:
        try:
            found = logs.filter_log_events(logGroupName="/aws/lambda/told")["events"]
        except ClientError:
            return False
        return any("REPORT" in event["message"] for event in found)

    eventually(was_invoked)
    queue = two.client("sqs").create_queue(QueueName="told")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{two.id}:told"
    grant = {
        **allow("sqs:SendMessage", arn),
        "Principal": {"Service": "events.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": one.id}},
    }
    settings = {"Policy": policy(grant)}
    two.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes=settings)
    events = one.client("events")
    events.put_rule(Name="tell", EventPattern='{"source": ["app"]}')
    events.put_targets(Rule="tell", Targets=[{"Id": "q", "Arn": arn}])
    events.put_events(Entries=[{"Source": "app", "DetailType": "d", "Detail": "{}"}])
    assert json.loads(message(two, queue)["Body"])["account"] == one.id


def test_a_directory_from_before_there_were_accounts(tmp_path: Path) -> None:
    """Its keys do not tell their account, or tell a wrong one."""
    data = tmp_path / "data"
    data.mkdir()
    old = {"AccessKeyId": "AKIAQ7654327765432ZZ", "SecretAccessKey": "s" * 40}
    (data / "root-key.json").write_text(json.dumps(old))
    server = Server(data).start()
    try:
        assert server.client("sts").get_caller_identity()["Account"] == ACCOUNT
        other = Account.made(server, "new")
        assert other.client("s3").list_buckets()["Buckets"] == []
        assert server.client("s3").list_buckets()["Buckets"] == []
        made = server.client("iam").create_user(UserName="u")["User"]
        assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/u"
    finally:
        assert server.stop() == 0


def test_a_bus_takes_events_of_whom_its_policy_names(
    server: Server, one: Account, two: Account
) -> None:
    statement = {"StatementId": "s", "Action": "events:PutEvents", "Principal": one.id}
    two.client("events").put_permission(EventBusName="default", **statement)
    bus = f"arn:aws:events:us-east-1:{two.id}:event-bus/default"
    entry = {"Source": "s", "DetailType": "d", "Detail": "{}", "EventBusName": bus}
    assert one.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    code = refusal(server.client("events").put_events, Entries=[entry])
    assert code == "AccessDeniedException"
    # a rule passes events on, as they are; what is refused over there ends in its dead letters
    theirs = _hearing_queue(two, "passed", "events")
    dead = _hearing_queue(server, "not-passed", "events")
    for account in (one, server):
        rules = account.client("events")
        rules.put_rule(Name="pass", EventPattern='{"source": ["passed"]}')
        grave = f"arn:aws:sqs:us-east-1:{ACCOUNT}:not-passed"
        target = {"Id": "b", "Arn": bus, "DeadLetterConfig": {"Arn": grave}}
        rules.put_targets(Rule="pass", Targets=[target])
    two.client("events").put_rule(Name="take", EventPattern='{"source": ["passed"]}')
    target = {"Id": "q", "Arn": f"arn:aws:sqs:us-east-1:{two.id}:passed"}
    two.client("events").put_targets(Rule="take", Targets=[target])
    entry = {"Source": "passed", "DetailType": "d", "Detail": "{}"}
    sent = one.client("events").put_events(Entries=[entry])["Entries"][0]["EventId"]
    event = json.loads(message(two, theirs)["Body"])
    assert (event["id"], event["account"]) == (sent, one.id)
    server.client("events").put_events(Entries=[entry])
    code = message(server, dead)["MessageAttributes"]["ERROR_CODE"]["StringValue"]
    assert code == "NO_PERMISSIONS"


def _hearing_queue(account: Any, name: str, service: str) -> str:
    """Its URL; the service may send."""
    grant = {**allow("sqs:SendMessage"), "Principal": {"Service": f"{service}.amazonaws.com"}}
    settings = {"Policy": policy(grant)}
    made = account.client("sqs").create_queue(QueueName=name, Attributes=settings)
    return str(made["QueueUrl"])


def test_a_function_empties_the_queue_of_another_account(one: Account, two: Account) -> None:
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    queue = two.client("sqs").create_queue(QueueName="lent")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{two.id}:lent"
    make_function(one, "borrower", "")
    role = one.client("lambda").get_function_configuration(FunctionName="borrower")["Role"]
    name = role.rpartition("/")[2]
    document = policy(allow(actions, arn))
    one.client("iam").put_role_policy(RoleName=name, PolicyName="q", PolicyDocument=document)
    create = one.client("lambda").create_event_source_mapping
    told = refusal(create, FunctionName="borrower", EventSourceArn=arn)
    assert told == "InvalidParameterValueException"
    grant = {**allow(actions, arn), "Principal": {"AWS": f"arn:aws:iam::{one.id}:root"}}
    settings = {"Policy": policy(grant)}
    two.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes=settings)
    two.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    made = create(FunctionName="borrower", EventSourceArn=arn)

    def left() -> int:
        every = two.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        found = every["Attributes"].items()
        return sum(int(value) for key, value in found if key.startswith("Approximate"))

    eventually(lambda: not left())
    one.client("lambda").delete_event_source_mapping(UUID=made["UUID"])


def test_all_is_there_after_a_kill(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        account, unused = Account.made(server, "a"), Account.made(server, "b")
        make_table(account, "kept")
        account.client("s3").create_bucket(Bucket="kept")
        server.kill()
        server.start()
        assert account.client("dynamodb").list_tables()["TableNames"] == ["kept"]
        assert refusal(server.client("s3").create_bucket, Bucket="kept") == "BucketAlreadyExists"
        assert not (server.data / "accounts" / unused.id / "cloudlet.db").exists()
        command(server.data, "delete", account.id, "--yes")
        assert not (server.data / "accounts" / account.id).exists()
        code = refusal(account.client("dynamodb").list_tables)
        assert code == "UnrecognizedClientException"
        server.client("s3").create_bucket(Bucket="kept")
        assert unused.client("s3").list_buckets()["Buckets"] == []
    finally:
        assert server.stop() == 0
    command(server.data, "delete", unused.id, "--yes")
    assert command(server.data, "list").splitlines() == [f"{ACCOUNT}  (default)"]


def test_events_tell_who_sent_them_and_stay_on_the_bus_that_is_named(
    one: Account, two: Account
) -> None:
    events = two.client("events")
    events.put_permission(StatementId="one", Action="events:PutEvents", Principal=one.id)
    sqs = two.client("sqs")
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    allowed = {
        **allow("sqs:SendMessage"), "Principal": {"Service": "events.amazonaws.com"},
    }  # fmt: skip
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(allowed)})
    events.put_rule(Name="heard", EventPattern=json.dumps({"account": [one.id]}))
    queue = f"arn:aws:sqs:us-east-1:{two.id}:heard"
    events.put_targets(Rule="heard", Targets=[{"Id": "q", "Arn": queue}])
    bus = f"arn:aws:events:us-east-1:{two.id}:event-bus/default"
    entry = {"Source": "s", "DetailType": "d", "Detail": "{}"}
    there = {**entry, "EventBusName": bus}
    sent = one.client("events").put_events(Entries=[there])
    assert sent["FailedEntryCount"] == 0
    assert json.loads(message(two, url)["Body"])["account"] == one.id
    mixed = one.client("events").put_events(Entries=[entry, there])["Entries"]
    assert "EventId" in mixed[0] and mixed[1]["ErrorCode"] == "NotImplemented"


def test_topics_tell_queues_of_other_accounts(server: Server, one: Account, two: Account) -> None:
    mine, theirs = one.client("sns"), two.client("sns")
    topic = mine.create_topic(Name="shared")["TopicArn"]
    queues = {}
    for name in ("asked", "own"):
        queue = f"arn:aws:sqs:us-east-1:{two.id}:{name}"
        statement = {
            **allow("sqs:SendMessage", queue),
            "Principal": {"Service": "sns.amazonaws.com"},
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        attributes = {"Policy": policy(statement)}
        made = two.client("sqs").create_queue(QueueName=name, Attributes=attributes)
        queues[name] = made["QueueUrl"], queue
    given = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": queues["own"][1]}
    assert refusal(theirs.subscribe, **given) == "AuthorizationError"
    mine.add_permission(
        TopicArn=topic, Label="two", AWSAccountId=[two.id], ActionName=["Subscribe", "Publish"]
    )
    assert theirs.subscribe(**given)["SubscriptionArn"].startswith(topic)
    asked = mine.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queues["asked"][1])
    assert asked["SubscriptionArn"] == "pending confirmation"

    def got(name: str) -> Any:
        found = two.client("sqs").receive_message(QueueUrl=queues[name][0], WaitTimeSeconds=1)
        return [json.loads(each["Body"]) for each in found.get("Messages", [])]

    (confirmation,) = eventually(lambda: got("asked"))
    assert server.http.request("GET", confirmation["SubscribeURL"]).status == 200
    theirs.publish(TopicArn=topic, Message="hello")
    for name in queues:
        assert eventually(lambda name=name: got(name))[0]["Message"] == "hello"
