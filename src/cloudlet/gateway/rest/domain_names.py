"""Custom domain names and base path mappings, in the words of REST APIs.

The store is `gateway.domains`', which HTTP APIs use, too.
https://docs.aws.amazon.com/apigateway/latest/api/API_DomainName.html
"""

import re
from collections.abc import Mapping as Map

from cloudlet.call import Call, Output
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.gateway import domain_names, domains
from cloudlet.gateway.domains import Mapping
from cloudlet.gateway.rest import documents, patches
from cloudlet.gateway.rest.documents import Document, bad_request, new_id
from cloudlet.store.database import Transaction, View

_REFUSED = (
    "certificateBody certificatePrivateKey certificateChain mutualTlsAuthentication policy"
    " endpointAccessMode"
)
_ROOT = "(none)"  # AWS's name for the empty base path
_PATH = re.compile(r"[\w.~$!*'(),;&=+%:@-]+", re.ASCII)  # one segment


def create_domain_name(call: Call, tx: Transaction) -> Output:
    if refused := documents.chosen(call.params, _REFUSED):
        raise NotImplementedByCloudlet(f"A domain name with {', '.join(refused)}")
    domain_names.create_domain_name(_translated(call, call.params), tx)
    return _find(tx, call.params["domainName"])


def get_domain_name(call: Call, view: View) -> Output:
    return _find(view, call.params["domainName"])


def get_domain_names(call: Call, view: View) -> Output:
    return documents.page([_described(each) for each in domains.every(view)], call.params)


def update_domain_name(call: Call, tx: Transaction) -> Output:
    before = _find(tx, call.params["domainName"])
    changed = patches.changed(call, "domainname", before)
    domain_names.update_domain_name(_translated(call, changed), tx)
    return _find(tx, call.params["domainName"])


def delete_domain_name(call: Call, tx: Transaction) -> None:
    domains.remove(tx, call.params["domainName"])


def create_base_path_mapping(call: Call, tx: Transaction) -> Output:
    path = call.params.get("basePath") or ""
    mapping = Mapping(
        new_id(6),
        domains.find(tx, call.params["domainName"])["DomainName"],
        "" if path == _ROOT else path,
        call.params["restApiId"],
        call.params.get("stage") or "",
    )
    return _save(call, tx, mapping)


def get_base_path_mapping(call: Call, view: View) -> Output:
    return _mapping(_named(call, view))


def get_base_path_mappings(call: Call, view: View) -> Output:
    found = domains.mappings(view, call.params["domainName"])
    return documents.page([_mapping(each) for each in found], call.params)


def update_base_path_mapping(call: Call, tx: Transaction) -> Output:
    old = _named(call, tx)
    before = {"basePath": old.path, "restapiId": old.api_id, "stage": old.stage}
    new = patches.changed(call, "basepathmapping", before)
    path = "" if new["basePath"] == _ROOT else new["basePath"]
    mapping = Mapping(old.id, old.domain, path, new["restapiId"], new.get("stage") or "")
    return _save(call, tx, mapping)


def delete_base_path_mapping(call: Call, tx: Transaction) -> None:
    domains.remove_mapping(tx, _named(call, tx))


def _translated(call: Call, members: Map[str, object]) -> Call:
    """The same call in apigatewayv2's words."""
    endpoint = members.get("endpointConfiguration") or {}
    types = endpoint.get("types") if isinstance(endpoint, dict) else None
    if types and len(types) != 1:
        raise bad_request("Only one endpoint type is allowed for a domain name")
    configuration: Document = {
        "CertificateArn": members.get("regionalCertificateArn") or members.get("certificateArn"),
        "CertificateName": members.get("regionalCertificateName") or members.get("certificateName"),
        "EndpointType": (types or ["EDGE"])[0],
        "SecurityPolicy": members.get("securityPolicy") or "TLS_1_2",
        "OwnershipVerificationCertificateArn": members.get("ownershipVerificationCertificateArn"),
    }
    params: Document = {
        "DomainName": members["domainName"],
        "DomainNameConfigurations": [configuration],
        "Tags": members.get("tags"),
    }
    if members.get("routingMode") not in (None, "BASE_PATH_MAPPING_ONLY"):
        raise NotImplementedByCloudlet(f"routingMode {members['routingMode']}")
    return Call(call.cloud, call.service, call.operation, params, call.caller, call.request)


def _find(view: View, name: str) -> Document:
    return _described(domains.find(view, name))


def _described(domain: Document) -> Document:
    configuration = domain["DomainNameConfigurations"][0]
    is_regional = configuration["EndpointType"] == "REGIONAL"
    names = {"CertificateArn": "ertificateArn", "CertificateName": "ertificateName"}
    prefix = "regionalC" if is_regional else "c"
    address = "regional" if is_regional else "distribution"
    described = {
        "domainName": domain["DomainName"],
        "domainNameArn": domain.get("DomainNameArn"),
        f"{address}DomainName": configuration["ApiGatewayDomainName"],
        f"{address}HostedZoneId": configuration["HostedZoneId"],
        "endpointConfiguration": {
            "types": [configuration["EndpointType"]],
            "ipAddressType": configuration.get("IpAddressType", "ipv4"),
        },
        "domainNameStatus": "AVAILABLE",
        "securityPolicy": configuration["SecurityPolicy"],
        "routingMode": "BASE_PATH_MAPPING_ONLY",
        "tags": domain.get("Tags") or {},
        **{prefix + ours: configuration.get(theirs) for theirs, ours in names.items()},
    }
    return {name: value for name, value in described.items() if value is not None}


def _named(call: Call, view: View) -> Mapping:
    wanted = call.params["basePath"]
    for mapping in domains.mappings(view, call.params["domainName"]):
        if mapping.path == ("" if wanted == _ROOT else wanted):
            return mapping
    raise documents.not_found("basepathmapping")


def _save(call: Call, tx: Transaction, mapping: Mapping) -> Document:
    documents.api(call, tx, mapping.api_id)
    if not mapping.stage:
        raise NotImplementedByCloudlet("A base path mapping without a stage")
    if not documents.find_part(tx, mapping.api_id, "stage", mapping.stage):
        raise bad_request("Invalid stage identifier specified")
    if mapping.path and not _PATH.fullmatch(mapping.path):
        raise bad_request(f"Invalid base path: {mapping.path}")
    domains.save_mapping(tx, mapping, "Base path already exists for this domain name")
    return _mapping(mapping)


def _mapping(mapping: Mapping) -> Document:
    return {"basePath": mapping.path or _ROOT, "restApiId": mapping.api_id, "stage": mapping.stage}
