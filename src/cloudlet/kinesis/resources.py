"""Tags and policies of streams and of consumers: both have them alike, by ARN.

https://docs.aws.amazon.com/streams/latest/dev/controlling-access.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.kinesis.lookup import invalid, missing, require
from cloudlet.policy.evaluation import statements
from cloudlet.store.database import Row, Transaction, View

_TAGS_MAX = 50
_POLICY_BYTES_MAX = 20 << 10


def _table(arn: str) -> str:
    return "kinesis_consumers" if "/consumer/" in arn else "kinesis_streams"


def find(view: View, arn: str) -> Row | None:
    return view.one(f"SELECT * FROM {_table(arn)} WHERE arn = ?", (arn,))


def _require(call: Call, view: View) -> Row:
    """By ARN, or a stream as other operations name it."""
    if "ResourceARN" not in call.params:
        return require(call, view)
    found = find(view, call.params["ResourceARN"])
    if found is None:
        name = call.params["ResourceARN"].partition("/")[2]
        raise missing(f"Stream {name} under account {call.config.account} not found.")
    return found


def _set(tx: Transaction, row: Row, column: str, value: str | None) -> None:
    tx.run(f"UPDATE {_table(row['arn'])} SET {column} = ? WHERE arn = ?", (value, row["arn"]))


def tag_resource(call: Call, tx: Transaction) -> None:
    row = _require(call, tx)
    tags = orjson.loads(row["tags"]) | call.params["Tags"]
    if len(tags) > _TAGS_MAX:
        raise invalid(
            f"Failed to add tags to stream {row['name']} under account {call.config.account}"
            f" because a given stream cannot have more than {_TAGS_MAX} tags associated with it."
        )
    _set(tx, row, "tags", orjson.dumps(tags).decode())


def untag_resource(call: Call, tx: Transaction) -> None:
    row, gone = _require(call, tx), call.params["TagKeys"]
    kept = {key: value for key, value in orjson.loads(row["tags"]).items() if key not in gone}
    _set(tx, row, "tags", orjson.dumps(kept).decode())


# the same by their older names
add_tags_to_stream = tag_resource
remove_tags_from_stream = untag_resource


def list_tags_for_stream(call: Call, view: View) -> Output:
    params, tags = call.params, _tags(_require(call, view))
    limit = params.get("Limit", _TAGS_MAX)
    left = [tag for tag in tags if tag["Key"] > params.get("ExclusiveStartTagKey", "")]
    return {"Tags": left[:limit], "HasMoreTags": len(left) > limit}


def list_tags_for_resource(call: Call, view: View) -> Output:
    return {"Tags": _tags(_require(call, view))}


def _tags(row: Row) -> list[dict[str, Any]]:
    tags = sorted(orjson.loads(row["tags"]).items())
    return [{"Key": key, "Value": value} for key, value in tags]


def put_resource_policy(call: Call, tx: Transaction) -> None:
    row, text = _require(call, tx), call.params["Policy"]
    try:
        is_policy = bool(statements(orjson.loads(text)))
    except (ValueError, TypeError, KeyError, AttributeError):
        is_policy = False
    if not is_policy or len(text) > _POLICY_BYTES_MAX:
        raise invalid("The resource policy is not a valid policy document.")
    _set(tx, row, "policy", text)


def get_resource_policy(call: Call, view: View) -> Output:
    return {"Policy": _with_policy(call, view)["policy"]}


def delete_resource_policy(call: Call, tx: Transaction) -> None:
    _set(tx, _with_policy(call, tx), "policy", None)


def _with_policy(call: Call, view: View) -> Row:
    row = _require(call, view)
    if row["policy"] is None:
        raise missing(f"No resource policy found for {row['arn']}.")
    return row
