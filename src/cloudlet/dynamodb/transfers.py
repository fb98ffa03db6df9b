"""Exports and imports as jobs: rows that outlive the process, done in the background.

`exports` and `imports` make them, `transfer_runs` does them.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3forDynamoDB.html
"""

import json
from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.dynamodb.numerics import invalid
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction, View

TOPIC = "dynamodb-transfers"
_COLUMNS = "arn, kind, table_arn, token, status, document"
_PAGE = 25


@dataclass(slots=True)
class Job:
    """`told` is the description that AWS has of it; `state` is ours: who asked for what, and how
    far an import has come."""

    arn: str
    kind: str
    table_arn: str
    token: str | None
    status: str
    told: dict[str, Any]
    state: dict[str, Any]

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]

    def described(self) -> Output:
        times = {
            name: value / 1000
            for name, value in self.told.items()
            if name in ("StartTime", "EndTime", "ExportTime")
        }
        about = {f"{self.kind}Arn": self.arn, f"{self.kind}Status": self.status}
        return {**about, **self.told, **times}


def new(call: Call, kind: str, table_arn: str, told: dict[str, Any]) -> Job:
    """A job for what the call asks; it begins when it is kept."""
    number = f"{call.now_ms:014d}-{call.config.new_id()[-8:]}"
    arn = f"{table_arn}/{kind.lower()}/{number}"
    caller = call.caller
    by = {"kind": caller.kind, "arn": caller.arn, "account": caller.account}
    state = {"by": {**by, "access_key": caller.access_key}, "asked": asked(call.params)}
    token = call.params.get("ClientToken")
    start = {"StartTime": call.now_ms, "TableArn": table_arn, **told}
    return Job(arn, kind, table_arn, token, "IN_PROGRESS", start, state)


def asked(params: Params) -> str:
    return json.dumps(params, sort_keys=True, default=str)


def begin(tx: Transaction, job: Job) -> None:
    keep(tx, job)
    tx.touch(TOPIC)


def keep(tx: Transaction, job: Job) -> None:
    document = orjson.dumps({"told": job.told, "state": job.state})
    tx.run(
        f"INSERT OR REPLACE INTO dynamodb_transfers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        (job.arn, job.kind, job.table_arn, job.token, job.status, document),
    )


def repeated(call: Call, view: View, kind: str) -> Job | None:
    """The job that a client's token was already used for; with other parameters that conflicts."""
    token = call.params.get("ClientToken")
    if token is None:
        return None
    row = view.one(
        f"SELECT {_COLUMNS} FROM dynamodb_transfers WHERE token = ? AND kind = ?", (token, kind)
    )
    if row is None:
        return None
    job = _of(row)
    if job.state["asked"] != asked(call.params):
        raise AwsError(
            f"{kind}ConflictException",
            f"There was a conflict when trying to {kind.lower()}: the client token was used with"
            " different parameters",
        )
    return job


def find(view: View, arn: str, kind: str) -> Job:
    row = view.one(
        f"SELECT {_COLUMNS} FROM dynamodb_transfers WHERE arn = ? AND kind = ?", (arn, kind)
    )
    if row is None:
        raise AwsError(f"{kind}NotFoundException", f"{kind} not found: {arn}")
    return _of(row)


def waiting(view: View) -> Job | None:
    row = view.one(
        f"SELECT {_COLUMNS} FROM dynamodb_transfers WHERE status = 'IN_PROGRESS'"
        " ORDER BY substr(arn, -23)"
    )
    return None if row is None else _of(row)


def page(view: View, kind: str, params: Params, size: int | None) -> tuple[list[Job], str | None]:
    """The latest first, as AWS lists them; the token is the last one's place."""
    before = params.get("NextToken")
    try:
        last = bytes.fromhex(before).decode().rstrip() if before else ""
    except ValueError:
        raise invalid("Invalid NextToken") from None
    rows = view.all(
        f"SELECT {_COLUMNS} FROM dynamodb_transfers WHERE kind = ? AND (? IS NULL OR table_arn = ?)"
        " ORDER BY substr(arn, -23) DESC, arn",
        (kind, params.get("TableArn"), params.get("TableArn")),
    )
    jobs = [_of(row) for row in rows]
    if last:
        jobs = [job for job in jobs if job.id < last]
    shown = jobs[: size or _PAGE]
    if len(shown) == len(jobs):
        return shown, None
    text = shown[-1].id.encode()
    return shown, text.ljust(-(-max(len(text), 56) // 8) * 8).hex()


def _of(row: Any) -> Job:
    document = orjson.loads(row[5])
    arn, kind, table_arn, token, status, _ = row
    return Job(arn, kind, table_arn, token, status, document["told"], document["state"])
