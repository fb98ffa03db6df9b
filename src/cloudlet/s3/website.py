"""Static websites out of buckets: their configuration. `visits` answers their visitors.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html
"""

from typing import Any

from cloudlet.call import Call, Output, Result
from cloudlet.errors import AwsError
from cloudlet.s3 import faults
from cloudlet.s3.bucket import drop_setting, of_call, put_setting, setting
from cloudlet.store.database import Transaction, View

RULES_MAX = 50
Rule = dict[str, Any]


def put_bucket_website(call: Call, tx: Transaction) -> None:
    bucket = of_call(call, tx)
    wanted = call.params.get("WebsiteConfiguration") or {}
    if "RedirectAllRequestsTo" in wanted:
        _check_redirect_of_all(wanted)
    else:
        _check_documents(wanted)
    rules = wanted.get("RoutingRules", [])
    if "RoutingRules" in wanted and not rules:
        raise faults.malformed_xml()
    if len(rules) > RULES_MAX:
        raise faults.invalid_request(
            f"{len(rules)} routing rules provided, the number of routing rules in a website "
            f"configuration is limited to {RULES_MAX}."
        )
    for rule in rules:
        _check_rule(rule)
    put_setting(tx, bucket.id, "website", wanted)


def _check_redirect_of_all(wanted: dict[str, Any]) -> None:
    if set(wanted) != {"RedirectAllRequestsTo"}:
        raise faults.invalid_argument(
            "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
            "RedirectAllRequestsTo",
            "not null",
        )
    if not wanted["RedirectAllRequestsTo"].get("HostName"):
        raise faults.malformed_xml()
    _check_redirect(wanted["RedirectAllRequestsTo"])


def _check_documents(wanted: dict[str, Any]) -> None:
    if "IndexDocument" not in wanted:
        raise faults.invalid_argument(
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
            "IndexDocument",
            "null",
        )
    suffix = wanted["IndexDocument"].get("Suffix", "")
    if not suffix or "/" in suffix:
        raise faults.invalid_argument(
            "The IndexDocument Suffix is not well formed", "IndexDocument", suffix
        )
    if "ErrorDocument" in wanted and not wanted["ErrorDocument"].get("Key"):
        raise faults.invalid_argument(
            "The ErrorDocument Key is not well formed", "ErrorDocument", ""
        )


def _check_rule(rule: Rule) -> None:
    redirect = rule.get("Redirect")
    if not redirect:
        raise faults.malformed_xml()
    if rule.get("Condition") == {}:
        raise faults.invalid_request(
            "Condition cannot be empty. To redirect all requests without a condition, the "
            "condition element shouldn't be present."
        )
    if "ReplaceKeyWith" in redirect and "ReplaceKeyPrefixWith" in redirect:
        raise faults.invalid_request(
            "You can only define ReplaceKeyPrefix or ReplaceKey but not both."
        )
    code = str(redirect.get("HttpRedirectCode", "301"))
    if not (code.isdigit() and code != "300" and 300 < int(code) < 400):
        raise faults.invalid_request(
            f"The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except "
            "300."
        )
    error = (rule.get("Condition") or {}).get("HttpErrorCodeReturnedEquals")
    if error is not None and not (str(error).isdigit() and 400 <= int(error) < 600):
        raise faults.invalid_request(
            f"The provided HTTP error code ({error}) is not valid. Valid codes are 4XX or 5XX."
        )
    _check_redirect(redirect)


def _check_redirect(redirect: dict[str, Any]) -> None:
    if redirect.get("Protocol", "http") not in ("http", "https"):
        raise faults.invalid_request(
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be "
            "selected automatically."
        )


def get_bucket_website(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    found: Output | None = setting(view, bucket.id, "website")
    if found is None:
        raise no_website(bucket.name)
    return found


def delete_bucket_website(call: Call, tx: Transaction) -> Result:
    drop_setting(tx, of_call(call, tx).id, "website")
    return Result({}, 204)


def no_website(name: str) -> AwsError:
    return AwsError(
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
        404,
        BucketName=name,
    )
