"""Who pays for requests: of a bucket with Requester, others must say that they know.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html
"""

from cloudlet.call import Call, Output
from cloudlet.s3 import faults
from cloudlet.s3.bucket import drop_setting, of_call, put_setting, setting
from cloudlet.store.database import Transaction, View

REQUESTER = "Requester"


def put_bucket_request_payment(call: Call, tx: Transaction) -> None:
    bucket = of_call(call, tx)
    payer = (call.params.get("RequestPaymentConfiguration") or {}).get("Payer")
    if payer not in (REQUESTER, "BucketOwner"):
        raise faults.malformed_xml()
    if payer == REQUESTER:
        put_setting(tx, bucket.id, "payer", payer)
    else:
        drop_setting(tx, bucket.id, "payer")


def get_bucket_request_payment(call: Call, view: View) -> Output:
    return {"Payer": setting(view, of_call(call, view).id, "payer") or "BucketOwner"}


def check(call: Call, view: View, bucket: int) -> None:
    """Refuses strangers who don't say that they pay; anonymous ones cannot."""
    is_owner = call.caller.kind == "service" or call.caller.account == call.config.account
    if is_owner or setting(view, bucket, "payer") != REQUESTER:
        return
    said = call.request.headers.get("x-amz-request-payer") or call.params.get("RequestPayer")
    if call.caller.kind == "anonymous" or str(said).lower() != "requester":
        raise faults.access_denied()
