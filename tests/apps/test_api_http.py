"""The API suite over HTTP, against λShare on cloudlet."""

import pytest

from tests.apps.api_suite import ApiSuite
from tests.apps.http_door import HttpDoor
from tests.server import Server


class TestHttp(ApiSuite):
    @pytest.fixture
    def door(self, lambdashare: Server) -> HttpDoor:
        return HttpDoor(lambdashare.url)
