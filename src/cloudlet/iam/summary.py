"""The account as a whole: its alias, how much it holds, and all of its IAM in one answer.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from typing import Any

from cloudlet.call import Call, Output
from cloudlet.iam import attachments, documents, faults, policies, roles
from cloudlet.iam.entities import GROUP, ROLE, USER, Kind, Reading, named, rows, shown
from cloudlet.iam.groups import groups_of, profile, profiles_of
from cloudlet.iam.identifiers import page
from cloudlet.store.database import Row, Transaction, View

_COUNTED = {
    "Users": "iam_user",
    "Groups": "iam_group",
    "Roles": "iam_role",
    "Policies": "iam_policy",
    "PolicyVersionsInUse": "iam_policy_version",
    "InstanceProfiles": "iam_profile",
}
_QUOTAS = {
    "UsersQuota": 5000,
    "GroupsQuota": 500,
    "RolesQuota": 5000,
    "PoliciesQuota": 5000,
    "InstanceProfilesQuota": 5000,
    "GroupsPerUserQuota": 10,
    "AccessKeysPerUserQuota": 2,
    "AttachedPoliciesPerUserQuota": 10,
    "AttachedPoliciesPerGroupQuota": 10,
    "AttachedPoliciesPerRoleQuota": 10,
    "VersionsPerPolicyQuota": 5,
    "PolicySizeQuota": 6144,
    "UserPolicySizeQuota": 2048,
    "GroupPolicySizeQuota": 5120,
    "RolePolicySizeQuota": 10_240,
    "AssumeRolePolicySizeQuota": 2048,
    "AccountMFAEnabled": 0,
    "AccountAccessKeysPresent": 1,
    "MFADevices": 0,
    "MFADevicesInUse": 0,
    "Providers": 0,
    "ServerCertificates": 0,
    "AccountSigningCertificatesPresent": 0,
}


def create_account_alias(call: Call, tx: Transaction) -> Output:
    """An account has one alias at most: a new one replaces it."""
    tx.run("DELETE FROM iam_alias")
    tx.run("INSERT INTO iam_alias VALUES (?)", (call.params["AccountAlias"],))
    return {}


def delete_account_alias(call: Call, tx: Transaction) -> Output:
    alias = call.params["AccountAlias"]
    if not tx.run("DELETE FROM iam_alias WHERE name = ?", (alias,)).rowcount:
        raise faults.no_entity(f"The account alias {alias} cannot be found.")
    return {}


def list_account_aliases(call: Call, view: View) -> Output:
    found = view.all("SELECT name FROM iam_alias")
    return page(found, call.params, "AccountAliases", lambda row: row["name"])


def get_account_summary(call: Call, view: View) -> Output:
    counts = {name: view.value(f"SELECT count(*) FROM {table}") for name, table in _COUNTED.items()}
    return {"SummaryMap": {**counts, **_QUOTAS}}


# --- What nobody has here, because nothing can make it: tools ask before they delete a user


def get_login_profile(call: Call, view: View) -> Output:
    name = named(call, view, USER)["name"]
    raise faults.no_entity(f"Login Profile for User {name} cannot be found.")


def get_account_password_policy(call: Call, view: View) -> Output:
    account = call.config.account
    raise faults.no_entity(f"The Password Policy with domain name {account} cannot be found.")


def _nothing(*members: str) -> Reading:
    def none(call: Call, view: View) -> Output:
        if "UserName" in call.params:
            named(call, view, USER)
        return {member: [] for member in members} | {"IsTruncated": False}

    return none


list_mfa_devices = _nothing("MFADevices")
list_ssh_public_keys = _nothing("SSHPublicKeys")
list_signing_certificates = _nothing("Certificates")
list_service_specific_credentials = _nothing("ServiceSpecificCredentials")


# --- All of it


_WANTED = ("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy")


def get_account_authorization_details(call: Call, view: View) -> Output:
    """Users, roles, groups and policies in pages that go through all of them."""
    wanted = call.params.get("Filter") or _WANTED
    kinds = {"User": USER, "Role": ROLE, "Group": GROUP}
    found: list[tuple[str, str, Any]] = []
    for name in (name for name in _WANTED if name in wanted):
        if name in kinds:
            items = rows(call, view, kinds[name])
            found += [(f"{len(found) + n:08}", name, row) for n, row in enumerate(items)]
        else:
            every = policies.all_of(view, name.removesuffix("ManagedPolicy"))
            found += [(f"{len(found) + n:08}", name, item) for n, item in enumerate(every)]
    output = page(found, call.params, "Items", lambda item: item)
    items = output.pop("Items")
    for name, kind in kinds.items():
        output[f"{name}DetailList"] = [
            _detail(call, view, kind, row) for _, of, row in items if of == name
        ]
    output["Policies"] = [
        policies.with_versions(view, item) for _, of, item in items if of not in kinds
    ]
    return output


def _detail(call: Call, view: View, kind: Kind, row: Row) -> dict[str, Any]:
    name = row["name"]
    attached = attachments.attached_to(view, kind, name)
    inline = [
        {"PolicyName": item["name"], "PolicyDocument": documents.encoded(item["document"])}
        for item in attachments.inline_of(view, kind, name)
    ]
    detail = {
        **shown(call, kind, row),
        f"{kind.title}PolicyList": inline,
        "AttachedManagedPolicies": [attachments.reference(arn) for arn in attached],
    }
    if kind is USER:
        detail["GroupList"] = [group["name"] for group in groups_of(view, name)]
    if kind is ROLE:
        detail["AssumeRolePolicyDocument"] = roles.brief(call, row)["AssumeRolePolicyDocument"]
        held = profiles_of(view, name)
        detail["InstanceProfileList"] = [profile(call, view, item, full=False) for item in held]
    return detail
