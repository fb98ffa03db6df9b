"""Which stream a call means: by name, by ARN, by id, or by what a stream once gave out."""

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.kinesis import tokens
from cloudlet.store.database import Row, View

_BY = {"StreamARN": "arn", "StreamName": "name", "StreamId": "public_id"}


def find(view: View, arn: str) -> Row | None:
    """The stream of an ARN, which may be one of its consumers'."""
    stream = arn.partition("/consumer/")[0]
    return view.one("SELECT * FROM kinesis_streams WHERE arn = ?", (stream,))


def require(call: Call, view: View) -> Row:
    given = {member: call.params[member] for member in _BY if call.params.get(member)}
    if not given:
        raise invalid("Must provide either StreamName or StreamARN.")
    where = " AND ".join(f"{_BY[member]} = ?" for member in given)
    found = view.one(f"SELECT * FROM kinesis_streams WHERE {where}", [*given.values()])
    created = call.params.get("StreamCreationTimestamp")  # of streams that had the name, this one
    if found is None or (created and int(created.timestamp()) != found["created_ms"] // 1000):
        name = next(iter(given.values())).rpartition("/")[2]
        raise missing(f"Stream {name} under account {call.config.account} not found.")
    return found


def arn(call: Call) -> str:
    """What a call needs permission on. Nothing is said of whether it is there."""
    params = call.params
    if "StreamARN" in params:
        return str(params["StreamARN"])
    if "StreamName" in params:
        return call.config.arn("kinesis", f"stream/{params['StreamName']}")
    view = call.cloud.database.view()
    for member in ("ShardIterator", "NextToken"):
        if member in params and call.operation != "ListStreams":
            return str(tokens.opened(view, member, params[member])[0]["arn"])
    if "StreamId" in params:
        return str(require(call, view)["arn"])
    return "*"


def invalid(message: str) -> AwsError:
    return AwsError("InvalidArgumentException", message)


def missing(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message)
