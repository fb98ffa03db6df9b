"""The API suite with handlers in this process and moto's server for S3 and DynamoDB."""

import pytest

from tests.apps.api_suite import ApiSuite
from tests.apps.lambdashare_local import LocalShare


class TestLocal(ApiSuite):
    @pytest.fixture
    def door(self, share: LocalShare) -> LocalShare:
        return share
