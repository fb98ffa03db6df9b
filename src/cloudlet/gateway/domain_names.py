"""Operations on custom domain names and API mappings (apigatewayv2).

TLS is for whoever stands in front of cloudlet: a certificate's ARN is kept, not looked at.
https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/domainnames.html
"""

import re

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.gateway import configuration, domains
from cloudlet.gateway.configuration import Document, bad_request
from cloudlet.gateway.domains import Mapping
from cloudlet.store.database import Transaction, View

_NAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{1,63}")
_KEY = re.compile(r"[\w.~$!*'(),;&=+%:@-]+(/[\w.~$!*'(),;&=+%:@-]+)*", re.ASCII)
_ENDPOINTS = ("REGIONAL", "EDGE")


def create_domain_name(call: Call, tx: Transaction) -> Output:
    name = call.params["DomainName"].lower()
    if not _NAME.fullmatch(name):
        raise bad_request("Invalid domain name")
    if tx.value("SELECT 1 FROM gateway_domains WHERE name = ?", (name,)):
        raise AwsError("ConflictException", "The domain name you provided already exists.", 409)
    document: Document = {
        "DomainName": name,
        "DomainNameArn": f"arn:aws:apigateway:{call.config.region}::/domainnames/{name}",
        "ApiMappingSelectionExpression": "$request.basepath",
        "RoutingMode": "API_MAPPING_ONLY",
        "Tags": call.params.get("Tags") or {},
    }
    return _save(call, tx, document)


def get_domain_name(call: Call, view: View) -> Output:
    return domains.find(view, call.params["DomainName"])


def get_domain_names(call: Call, view: View) -> Output:
    return configuration.page(domains.every(view), call.params)


def update_domain_name(call: Call, tx: Transaction) -> Output:
    return _save(call, tx, domains.find(tx, call.params["DomainName"]))


def delete_domain_name(call: Call, tx: Transaction) -> None:
    domains.remove(tx, call.params["DomainName"])


def create_api_mapping(call: Call, tx: Transaction) -> Output:
    domain = domains.find(tx, call.params["DomainName"])["DomainName"]
    return _save_mapping(call, tx, Mapping(configuration.new_id(6), domain, "", "", ""))


def get_api_mapping(call: Call, view: View) -> Output:
    return _describe(_mapping(call, view))


def get_api_mappings(call: Call, view: View) -> Output:
    found = domains.mappings(view, call.params["DomainName"])
    return configuration.page([_describe(mapping) for mapping in found], call.params)


def update_api_mapping(call: Call, tx: Transaction) -> Output:
    return _save_mapping(call, tx, _mapping(call, tx))


def delete_api_mapping(call: Call, tx: Transaction) -> None:
    domains.remove_mapping(tx, _mapping(call, tx))


def _save(call: Call, tx: Transaction, document: Document) -> Output:
    params = call.params
    if params.get("MutualTlsAuthentication"):
        raise NotImplementedByCloudlet("MutualTlsAuthentication of a domain name")
    if params.get("RoutingMode", "API_MAPPING_ONLY") != "API_MAPPING_ONLY":
        raise NotImplementedByCloudlet(f"RoutingMode {params['RoutingMode']}")
    given = params.get("DomainNameConfigurations")
    if given is not None:
        document["DomainNameConfigurations"] = [_configured(call, document, c) for c in given]
    if not document.get("DomainNameConfigurations"):
        raise bad_request("DomainNameConfigurations is required")
    domains.save(tx, document, call.now_ms)
    return document


def _configured(call: Call, document: Document, given: Document) -> Document:
    kind = given.get("EndpointType") or "REGIONAL"
    if kind not in _ENDPOINTS:
        raise bad_request(f"Invalid endpoint type {kind}")
    if not given.get("CertificateArn"):
        raise bad_request("A certificate ARN is required for a domain name")
    label = "d-" + document["DomainName"].replace(".", "-").replace("*", "any")[:50]
    return {
        "SecurityPolicy": "TLS_1_2",
        "IpAddressType": "ipv4",
        **{name: value for name, value in given.items() if value is not None},
        "EndpointType": kind,
        "ApiGatewayDomainName": f"{label}.execute-api.{call.config.region}.amazonaws.com",
        "HostedZoneId": "Z1UJRXOUMOOFQ8",
        "DomainNameStatus": "AVAILABLE",
    }


def _mapping(call: Call, view: View) -> Mapping:
    identifier = call.params["ApiMappingId"]
    for mapping in domains.mappings(view, call.params["DomainName"]):
        if mapping.id == identifier:
            return mapping
    raise configuration.not_found("ApiMapping", identifier)


def _save_mapping(call: Call, tx: Transaction, old: Mapping) -> Output:
    params = call.params
    path = old.path if params.get("ApiMappingKey") is None else params["ApiMappingKey"]
    if path and not _KEY.fullmatch(path):
        raise bad_request(f"Invalid ApiMappingKey {path!r}")
    api_id, stage = params.get("ApiId") or old.api_id, params.get("Stage") or old.stage
    _check_stage(tx, api_id, stage)
    new = Mapping(old.id, old.domain, path, api_id, stage)
    domains.save_mapping(tx, new)
    return _describe(new)


def _check_stage(view: View, api_id: str, stage: str) -> None:
    """The API may be of either kind."""
    if view.value("SELECT 1 FROM rest_apis WHERE api_id = ?", (api_id,)):
        found = view.value(
            "SELECT 1 FROM rest_parts WHERE api_id = ? AND kind = 'stage' AND id = ?",
            (api_id, stage),
        )
        if not found:
            raise bad_request("Invalid stage identifier specified")
        return
    configuration.part(view, api_id, "stage", stage)


def _describe(mapping: Mapping) -> Output:
    return {
        "ApiId": mapping.api_id,
        "ApiMappingId": mapping.id,
        "ApiMappingKey": mapping.path,
        "Stage": mapping.stage,
    }
