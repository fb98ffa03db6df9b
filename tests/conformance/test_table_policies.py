"""A policy of a table lets another account in, as far as its own policies do, too."""

from tests.conformance.building import allow, policy
from tests.conformance.test_accounts import Account, make_table, refusal
from tests.server import Server


def test_a_tables_policy_lets_others_in(server: Server) -> None:
    one, two = (Account.made(server, name) for name in ("owner", "borrower"))
    make_table(one, "lent")
    mine, theirs, key = one.client("dynamodb"), two.client("dynamodb"), {"k": {"S": "a"}}
    arn = mine.describe_table(TableName="lent")["Table"]["TableArn"]
    mine.put_item(TableName="lent", Item=key)
    assert refusal(theirs.get_item, TableName=arn, Key=key) == "AccessDeniedException"
    statement = {**allow("dynamodb:*GetItem", arn), "Principal": {"AWS": two.id}}
    mine.put_resource_policy(ResourceArn=arn, Policy=policy(statement))
    assert theirs.get_item(TableName=arn, Key=key)["Item"] == key
    assert theirs.batch_get_item(RequestItems={arn: {"Keys": [key]}})["Responses"]
    get = [{"Get": {"TableName": arn, "Key": key}}]
    assert theirs.transact_get_items(TransactItems=get)["Responses"] == [{"Item": key}]
    assert refusal(theirs.put_item, TableName=arn, Item=key) == "AccessDeniedException"
    nobody = two.user("without-permission", allow("s3:*")).client("dynamodb")
    assert refusal(nobody.get_item, TableName=arn, Key=key) == "AccessDeniedException"
