"""Provisioned concurrency: how many workers of a version or an alias are always there.

The pool keeps them; here is what is wanted, and what is told of it.
https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
"""

from collections.abc import Iterator

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.functions import limits, names, records
from cloudlet.functions.records import Document, Found, page, timestamp
from cloudlet.store.database import Row, Transaction, View


def wanted(view: View, config: Config) -> Iterator[tuple[Found, int]]:
    """Every version that workers are to be kept for, and how many."""
    for row in view.all("SELECT name, qualifier, wanted FROM function_provisioned"):
        yield records.find(view, config, row["name"], row["qualifier"]), row["wanted"]


def changed(call: Call, tx: Transaction) -> None:
    """What is wanted may have changed, directly or because an alias moved."""
    if call.state is not None:
        tx.after_commit(call.state.provision_soon)


def put_provisioned_concurrency_config(call: Call, tx: Transaction) -> Output:
    name, qualifier = _target(call)
    found = records.find(tx, call.config, name, qualifier)
    if found.version == names.LATEST:
        raise names.invalid(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        )
    count = int(call.params["ProvisionedConcurrentExecutions"])
    other = [
        (each, number)
        for each, number in wanted(tx, call.config)
        if each.name == name and each.qualifier != qualifier
    ]
    if any(each.version == found.version for each, _ in other):
        raise names.invalid("Alias can't be used for Provisioned Concurrency configuration on an"
                            " already Provisioned version")  # fmt: skip
    if found.reserved is not None and count + sum(n for _, n in other) > found.reserved:
        raise names.invalid("Requested Provisioned Concurrency should not be greater than the"
                            " reservedConcurrentExecution for function")  # fmt: skip
    if found.reserved is None and count > limits.unreserved(tx) - limits.UNRESERVED_MIN:
        raise names.invalid("Specified ConcurrentExecutions for function is greater than account's"
                            f" unreserved concurrency [{limits.unreserved(tx)}].")  # fmt: skip
    tx.run(
        "INSERT OR REPLACE INTO function_provisioned (name, qualifier, wanted, changed_ms)"
        " VALUES (?, ?, ?, ?)",
        (name, qualifier, count, call.now_ms),
    )
    changed(call, tx)
    return _shown(call, tx, _required(call, tx))


def get_provisioned_concurrency_config(call: Call, view: View) -> Output:
    return _shown(call, view, _required(call, view))


def delete_provisioned_concurrency_config(call: Call, tx: Transaction) -> None:
    _required(call, tx)
    tx.run("DELETE FROM function_provisioned WHERE name = ? AND qualifier = ?", _target(call))
    changed(call, tx)


def list_provisioned_concurrency_configs(call: Call, view: View) -> Output:
    name = records.named(call, view)
    rows = view.all("SELECT * FROM function_provisioned WHERE name = ? ORDER BY qualifier", (name,))
    items: list[Document] = []
    for row in rows:
        arn = names.function_arn(call.config, name, row["qualifier"])
        items.append({**_shown(call, view, row), "FunctionArn": arn})
    return page(items, call.params, "ProvisionedConcurrencyConfigs")


def _shown(call: Call, view: View, row: Row) -> Output:
    found = records.find(view, call.config, row["name"], row["qualifier"])
    ready, idle, failure = call.state.provisioned(found)
    count = row["wanted"]
    status = "READY" if ready >= count else "FAILED" if failure else "IN_PROGRESS"
    output = {
        "RequestedProvisionedConcurrentExecutions": count,
        "AvailableProvisionedConcurrentExecutions": min(idle, count),
        "AllocatedProvisionedConcurrentExecutions": min(ready, count),
        "Status": status,
        "LastModified": timestamp(row["changed_ms"]),
    }
    return output | ({"StatusReason": failure} if status == "FAILED" else {})


def _target(call: Call) -> tuple[str, str]:
    name, qualifier = names.parse(call.params["FunctionName"], call.params.get("Qualifier"))
    return name, qualifier or names.LATEST


def _required(call: Call, view: View) -> Row:
    name, qualifier = _target(call)
    row = view.one(
        "SELECT * FROM function_provisioned WHERE name = ? AND qualifier = ?", (name, qualifier)
    )
    if row is None:
        records.require(view, call.config, name, qualifier)
        raise AwsError(
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
            404,
            Type="User",
        )
    return row
