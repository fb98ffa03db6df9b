"""One deployment for all tests: each has people of its own."""

from collections.abc import Iterator

import pytest

from tests.examples.conftest import EXAMPLES
from tests.examples.social.app import TRIAL_QUOTA, Social
from tests.server import Server


@pytest.fixture(scope="session")
def social(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Social]:
    data = tmp_path_factory.mktemp("social") / "data"
    settings = ("-p", "PasswordCost=10", "-p", f"TrialQuota={TRIAL_QUOTA}")
    server = Server(data, EXAMPLES / "social/template.yaml", "--no-watch", *settings)
    try:
        yield Social(server.start())
    finally:
        server.stop()
