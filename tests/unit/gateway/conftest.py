"""A bench with the gateway's tables and its running state."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudlet.gateway.rest.schema import SCHEMA as REST_SCHEMA
from cloudlet.gateway.schema import SCHEMA
from cloudlet.gateway.service import GatewayState
from tests.harness import Bench
from tests.unit.gateway.rest_control import Rest


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SCHEMA, REST_SCHEMA)
    bench.state = GatewayState.of(bench.cloud).gateway
    yield bench
    bench.close()


@pytest.fixture
def state(bench: Bench) -> GatewayState:
    state = GatewayState.of(bench.cloud)
    bench.state = state.gateway
    return state


@pytest.fixture
def rest(bench: Bench) -> Rest:
    return Rest(bench)
