"""The gateway's services: "apigatewayv2", "apigatewaymanagementapi" and "cloudfront"."""

from dataclasses import dataclass

from cloudlet.call import Cloud
from cloudlet.gateway import domain_names, models, permissions
from cloudlet.gateway.api_parts import Part
from cloudlet.gateway.cloudfront import distributions, invalidations, policies
from cloudlet.gateway.cloudfront.edge import Edge
from cloudlet.gateway.cloudfront.policies import Kind
from cloudlet.gateway.http_apis import apis, authorizers, resources, responses
from cloudlet.gateway.http_apis.http_api import Gateway
from cloudlet.gateway.websockets import management
from cloudlet.gateway.websockets.connections import Connections
from cloudlet.wire import models as wire
from cloudlet.wire.service import Operation, Service, operations

_PARTS = (
    *(resources.ROUTE, resources.INTEGRATION, resources.STAGE, resources.DEPLOYMENT),
    *(responses.ROUTE_RESPONSE, responses.INTEGRATION_RESPONSE, models.PART, authorizers.PART),
)


@dataclass(frozen=True, slots=True)
class GatewayState:
    """What runs: made once per process, after the schema was prepared."""

    gateway: Gateway
    connections: Connections
    edge: Edge

    @classmethod
    def of(cls, cloud: Cloud) -> "GatewayState":
        gateway = Gateway(cloud)
        connections = Connections(gateway)
        return cls(gateway, connections, Edge(gateway, connections))

    async def stop(self) -> None:
        """Closes open WebSockets, while functions can still be told."""
        await self.connections.stop()
        await self.gateway.rest.stop()


def _made(table: tuple[Part, ...] | tuple[Kind, ...]) -> dict[str, Operation]:
    return {name: made for each in table for name, made in each.operations().items()}


def service(state: GatewayState | None = None) -> list[Service]:
    return [
        Service(
            "apigatewayv2",
            _made(_PARTS)
            | operations(
                wire.operation_names("apigatewayv2"), apis, resources, authorizers, domain_names
            ),
            permissions.apigateway,
            state=state.gateway if state else None,
        ),
        Service(
            "apigatewaymanagementapi",
            operations(wire.operation_names("apigatewaymanagementapi"), management),
            management.requirements,
            state=state.connections if state else None,
        ),
        Service(
            "cloudfront",
            _made(policies.KINDS)
            | operations(
                wire.operation_names("cloudfront"), distributions, policies, invalidations
            ),
            permissions.cloudfront,
            state=state.edge if state else None,
        ),
    ]
