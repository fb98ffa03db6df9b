"""The API suite over HTTP against a running λShare: `LAMBDASHARE_URL` says where."""

import os

import pytest

from tests.apps.api_suite import ApiSuite
from tests.apps.http_door import HttpDoor

URL = os.environ.get("LAMBDASHARE_URL", "")


@pytest.mark.skipif(not URL, reason="no LAMBDASHARE_URL")
class TestHttp(ApiSuite):
    @pytest.fixture
    def door(self) -> HttpDoor:
        return HttpDoor(URL)
