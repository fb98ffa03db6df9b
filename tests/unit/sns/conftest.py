"""A bench with the tables of topics, and one topic."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudlet.sns import subscriptions, topics
from cloudlet.sns.schema import SCHEMA
from tests.harness import Bench

NEWS = "arn:aws:sns:us-east-1:000000000000:news"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:inbox"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:reader"


class Desk(Bench):
    """Shortcuts for what most tests need."""

    def topic(self, name: str = "news", **attributes: str) -> str:
        made = self.call(topics.create_topic, Name=name, Attributes=attributes)
        return str(made["TopicArn"])

    def subscribe(
        self, protocol: str = "sqs", endpoint: str = QUEUE, topic: str = NEWS, **attributes: str
    ) -> str:
        made = self.call(
            subscriptions.subscribe,
            TopicArn=topic,
            Protocol=protocol,
            Endpoint=endpoint,
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )
        return str(made["SubscriptionArn"])

    def about(self, subscription: str) -> dict[str, Any]:
        found = self.call(subscriptions.get_subscription_attributes, SubscriptionArn=subscription)
        return dict(found["Attributes"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, SCHEMA)
    desk.topic()
    yield desk
    desk.close()
