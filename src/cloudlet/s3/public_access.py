"""Block Public Access: what a bucket refuses to make public, and what public it ignores.

Here are the four switches, of a bucket and of the account (`control`); who looks at them: `access`
(policies put), `acl` (lists put and ignored), `authority` (public policies restricted).
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

import json

from cloudlet.call import Call, Output, Result
from cloudlet.errors import AwsError
from cloudlet.s3 import faults
from cloudlet.s3.bucket import Bucket, drop_setting, of_call, put_setting, setting
from cloudlet.store.database import Transaction, View

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_SETTING = "public-access-block"


def block_all(tx: Transaction, bucket: int) -> None:
    """As new buckets are."""
    put_setting(tx, bucket, _SETTING, dict.fromkeys(BLOCKS, True))


def prevented(call: Call, action: str, resource: str, switch: str) -> AwsError:
    what = "public policies" if switch == "BlockPublicPolicy" else "public ACLs"
    return AwsError(
        "AccessDenied",
        f"User: {call.caller.arn} is not authorized to perform: s3:{action} on resource: "
        f'"arn:aws:s3:::{resource}" because {what} are prevented by the {switch} setting in S3 '
        "Block Public Access.",
        403,
    )


def blocks(view: View, bucket: Bucket) -> dict[str, bool]:
    """The public access block in force: what the bucket or its account switched on."""
    own = setting(view, bucket.id, _SETTING) or {}
    account = of_account(view) or {}
    return {name: own.get(name, False) or account.get(name, False) for name in BLOCKS}


def of_account(view: View) -> dict[str, bool] | None:
    query = "SELECT document FROM s3_account_block"
    text = view.remembered("s3_account_block", lambda: view.value(query))
    block: dict[str, bool] | None = None if text is None else json.loads(text)
    return block


def put_account(tx: Transaction, block: dict[str, bool]) -> None:
    drop_account(tx)
    tx.run("INSERT INTO s3_account_block (document) VALUES (?)", (json.dumps(block),))


def drop_account(tx: Transaction) -> None:
    tx.run("DELETE FROM s3_account_block")


def asked(call: Call) -> dict[str, bool]:
    wanted = call.params.get("PublicAccessBlockConfiguration")
    if wanted is None:
        raise faults.malformed_xml()
    return {name: bool(wanted.get(name, False)) for name in BLOCKS}


def put_public_access_block(call: Call, tx: Transaction) -> None:
    put_setting(tx, of_call(call, tx).id, _SETTING, asked(call))


def get_public_access_block(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    block = setting(view, bucket.id, _SETTING)
    if block is None:
        raise not_found(BucketName=bucket.name)
    return {"PublicAccessBlockConfiguration": block}


def not_found(**fields: str) -> AwsError:
    code = "NoSuchPublicAccessBlockConfiguration"
    return AwsError(code, "The public access block configuration was not found", 404, **fields)


def delete_public_access_block(call: Call, tx: Transaction) -> Result:
    drop_setting(tx, of_call(call, tx).id, _SETTING)
    return Result({}, 204)
