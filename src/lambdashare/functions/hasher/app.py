"""hasher: an object was created; its sums appear in Files and HashSums, live on the way.

Takes S3's events and its own continuations: when the time of an invocation runs out it leaves a
checkpoint and invokes itself. Killed, it is invoked again by Lambda's retries and resumes from the
checkpoint. https://docs.aws.amazon.com/lambda/latest/dg/with-s3.html
"""

import json
import os
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from hasher_job import Job, run
from lambdashare_core import shares, tables
from lambdashare_core.web import log


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    outcomes = []
    for job in jobs_of(event):
        outcome = run(job, context.get_remaining_time_in_millis)
        if outcome == "continue":
            carry_on(job, context.invoked_function_arn)
        log.info(json.dumps({"object": job.key, "etag": job.etag, "outcome": outcome}))
        outcomes.append(outcome)
    return {"outcomes": outcomes}


def jobs_of(event: dict[str, Any]) -> list[Job]:
    if "continue" in event:
        return [Job(**event["continue"])]
    found = [job_of(record) for record in event.get("Records", [])]
    return [job for job in found if job is not None]


def job_of(record: dict[str, Any]) -> Job | None:
    """S3 sends a test event without `s3` when notifications are set up."""
    if "s3" not in record:
        return None
    thing = record["s3"]["object"]
    key = unquote_plus(thing["key"])
    address = shares.of_object_key(key)
    if address is None:
        log.info("not an upload: %s", key)
        return None
    created = datetime.fromisoformat(record["eventTime"])
    return Job(
        bucket=record["s3"]["bucket"]["name"],
        share=address[0],
        n=address[1],
        etag=thing.get("eTag", "").strip('"'),
        stored_at=round(created.timestamp() * 1000),
    )


def carry_on(job: Job, function_arn: str) -> None:
    tables.client("lambda").invoke(
        FunctionName=os.environ.get("CONTINUE_WITH", function_arn),
        InvocationType="Event",
        Payload=json.dumps({"continue": job.document()}).encode(),
    )
