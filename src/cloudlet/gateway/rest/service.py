"""The service "apigateway": REST APIs, API keys and usage plans, custom domain names."""

from typing import Any

from cloudlet.gateway import permissions
from cloudlet.gateway.rest import (
    apis,
    deployments,
    domain_names,
    exporting,
    importing,
    keys,
    methods,
    models,
    parts,
    plans,
    resources,
    responses,
    stages,
    tags,
    trial,
)
from cloudlet.wire import models as wire_models
from cloudlet.wire.service import Service, operations

_MODULES = (
    *(apis, parts, resources, responses, deployments, stages, models),
    *(importing, exporting, keys, plans, domain_names, tags, trial),
)


def service(state: Any = None) -> Service:
    names = wire_models.operation_names("apigateway")
    table = parts.operations() | methods.operations() | operations(names, *_MODULES)
    return Service("apigateway", table, permissions.apigateway, state=state)
