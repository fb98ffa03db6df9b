"""Does the exports and imports that are asked for, one after the other.

A job acts in the name of who asked for it, and through `Cloud.invoke` like any caller of S3. What
was going on when the process ended is taken up at the next start: an export anew, of the table as
it is then; an import behind the last line whose item is stored.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from cloudlet.call import Caller, Cloud
from cloudlet.dynamodb import definitions, exports, imports, tables, transfers
from cloudlet.dynamodb.transfers import Job
from cloudlet.errors import AwsError
from cloudlet.policy.context import via
from cloudlet.store.database import Transaction

_log = logging.getLogger(__name__)
_PRINCIPAL = "dynamodb.amazonaws.com"
_WORKS: dict[str, Callable[[Cloud, Job, Caller | None], Awaitable[None]]] = {
    "Export": exports.run,
    "Import": imports.run,
}
# What S3 refuses → what a failed job is called for
_FAILURES = {"NoSuchBucket": "S3NoSuchBucket", "AccessDenied": "S3AccessDenied"}


async def progress(cloud: Cloud) -> None:
    while True:
        with cloud.database.snapshot() as view:
            job = transfers.waiting(view)
        if job is None:
            return
        try:
            await _WORKS[job.kind](cloud, job, _caller(cloud, job))
            job.status = "COMPLETED"
        except AwsError as error:
            job.status = "FAILED"
            job.told["FailureCode"] = _FAILURES.get(error.code, error.code)
            job.told["FailureMessage"] = error.message
        except Exception:  # a full disk, a bug: others' jobs wait behind this one
            _log.exception("%s failed", job.arn)
            job.status, job.told["FailureCode"] = "FAILED", "InternalServerError"
            job.told["FailureMessage"] = "The request processing has failed: see cloudlet's log."
        job.told["EndTime"] = cloud.config.now_ms()
        await cloud.database.write(partial(_keep, cloud, job))


def _keep(cloud: Cloud, job: Job, tx: Transaction) -> None:
    """dynamodb-079: of an import that failed at once no table is left."""
    transfers.keep(tx, job)
    if job.status == "FAILED" and job.told.get("ImportedItemCount") == 0:
        table = definitions.find(tx, cloud.config, job.told["TableArn"])
        if table is not None and table.document["TableId"] == job.told["TableId"]:
            tables.remove(tx, table, cloud.config.now_ms())


def _caller(cloud: Cloud, job: Job) -> Caller | None:
    """Who asked for the job, with the permissions of today; None: cloudlet itself."""
    by = job.state["by"]
    if by["kind"] == "service":
        return None
    if by["kind"] == "root":
        caller: Caller | None = Caller("root", by["arn"], by["account"])
    else:
        caller = cloud.caller_of(by["access_key"])
    if caller is None:
        raise AwsError("AccessDenied", f"The credentials of {by['arn']} are no longer valid")
    return via(caller, _PRINCIPAL)
