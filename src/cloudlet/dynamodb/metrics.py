"""DynamoDB's own metrics of calls; consumed capacity is `capacity`'s.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
"""

from cloudlet.call import Call, Output
from cloudlet.dynamodb import partiql_grammar
from cloudlet.errors import AwsError

_NAMESPACE = "AWS/DynamoDB"
_OF_TABLE = {  # errors that are metrics of their own
    "ConditionalCheckFailedException": "ConditionalCheckFailedRequests",
    "TransactionConflictException": "TransactionConflict",
}
_THROTTLED = ("ProvisionedThroughputExceededException", "ThrottlingException")


def observe(call: Call, outcome: Output | AwsError, duration_ms: float) -> None:
    meter, operation = call.cloud.meter, ("Operation", call.operation)
    tables = [("TableName", name.rsplit("/", 1)[-1]) for name in _tables(call)]
    if isinstance(outcome, AwsError):
        if outcome.status < 500 and outcome.code not in (*_OF_TABLE, *_THROTTLED):
            meter.add(_NAMESPACE, "UserErrors", ())
        for table in tables:
            if outcome.code in _OF_TABLE:
                meter.add(_NAMESPACE, _OF_TABLE[outcome.code], (table,))
            elif outcome.code in _THROTTLED:
                meter.add(_NAMESPACE, "ThrottledRequests", (operation, table))
            elif outcome.status >= 500:
                meter.add(_NAMESPACE, "SystemErrors", (operation, table))
        return
    for table in tables:
        dimensions = (operation, table)
        meter.add(_NAMESPACE, "SuccessfulRequestLatency", dimensions, duration_ms, "Milliseconds")
        if "ScannedCount" in outcome:
            meter.add(_NAMESPACE, "ReturnedItemCount", dimensions, float(outcome["Count"]))


def _tables(call: Call) -> list[str]:
    name, requests = call.params.get("TableName"), call.params.get("RequestItems")
    if isinstance(name, str):
        return [name]
    if call.operation == "ExecuteStatement":
        try:
            return [partiql_grammar.parse(call.params["Statement"]).table]
        except AwsError:
            return []
    return list(requests) if isinstance(requests, dict) else []
