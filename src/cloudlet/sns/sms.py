"""SMS: the account's settings, and who does not want any. Nothing is really sent.

https://docs.aws.amazon.com/sns/latest/dg/sns-mobile-phone-number-as-subscriber.html
"""

import re

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, refuse
from cloudlet.sns import topics
from cloudlet.sns.faults import invalid
from cloudlet.store.database import Transaction, View

_SETTINGS = (
    "MonthlySpendLimit", "DeliveryStatusIAMRole", "DeliveryStatusSuccessSamplingRate",
    "DefaultSenderID", "DefaultSMSType",
)  # fmt: skip


def get_sms_attributes(call: Call, view: View) -> Output:
    wanted = call.params.get("attributes")
    rows = view.all("SELECT name, value FROM sms_settings")
    found = {"MonthlySpendLimit": "1", **{row["name"]: row["value"] for row in rows}}
    return {"attributes": {k: v for k, v in found.items() if not wanted or k in wanted}}


def set_sms_attributes(call: Call, tx: Transaction) -> Output:
    refuse(call.params["attributes"], "UsageReportS3Bucket")
    for name, value in call.params["attributes"].items():
        if name not in _SETTINGS:
            raise AwsError("InvalidParameter", f"{name} is not a valid attribute")
        if name == "DefaultSMSType" and value not in ("Promotional", "Transactional"):
            raise AwsError("InvalidParameter", "DefaultSMSType is invalid")
        tx.run("INSERT OR REPLACE INTO sms_settings (name, value) VALUES (?, ?)", (name, value))
    return {}


def default_type(view: View) -> str:
    found = view.value("SELECT value FROM sms_settings WHERE name = 'DefaultSMSType'")
    return str(found or "Promotional")


def check_if_phone_number_is_opted_out(call: Call, view: View) -> Output:
    found = view.value("SELECT 1 FROM sms_opt_outs WHERE number = ?", (call.params["phoneNumber"],))
    return {"isOptedOut": found is not None}


def list_phone_numbers_opted_out(call: Call, view: View) -> Output:
    call.params.setdefault("NextToken", call.params.get("nextToken"))
    sql = "SELECT number AS id FROM sms_opt_outs WHERE number > ? ORDER BY number"
    rows, token = topics.page(call, view, sql)
    return {"phoneNumbers": [row["id"] for row in rows], "nextToken": token}


def opt_in_phone_number(call: Call, tx: Transaction) -> Output:
    if not re.fullmatch(r"\+\d{4,15}", call.params["phoneNumber"]):
        raise invalid("PhoneNumber Reason: input incorrectly formatted")
    tx.run("DELETE FROM sms_opt_outs WHERE number = ?", (call.params["phoneNumber"],))
    return {}


def get_sms_sandbox_account_status(call: Call, view: View) -> Output:
    """Nothing is sent, so nobody needs to be kept from it."""
    return {"IsInSandbox": False}
