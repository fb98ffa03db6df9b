"""SNS's own metrics, measured once what they tell of is durable.

https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
"""

from cloudlet.call import Cloud
from cloudlet.store.database import Transaction

_NAMESPACE = "AWS/SNS"


def published(cloud: Cloud, tx: Transaction, topic: str, size_bytes: int) -> None:
    def measure() -> None:
        count(cloud, topic, "NumberOfMessagesPublished")
        size = float(size_bytes)
        cloud.meter.add(_NAMESPACE, "PublishSize", (("TopicName", topic),), size, "Bytes")

    tx.after_commit(measure)


def filtered_out(cloud: Cloud, tx: Transaction, topic: str, scope: str) -> None:
    def measure() -> None:
        count(cloud, topic, "NotificationsFilteredOut")
        count(cloud, topic, f"NotificationsFilteredOut-{scope}")

    tx.after_commit(measure)


def count(cloud: Cloud, topic: str, name: str) -> None:
    cloud.meter.add(_NAMESPACE, name, (("TopicName", topic),))
