"""Fair queues: on a standard queue a message group is a tenant, and a tenant with much in flight
lets others go first.

A tenant is noisy while it has ten messages in flight, and a tenth of all (AWS does not say its
own measure). Nothing waits for it: what is left of a batch is filled with its messages.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
"""

from cloudlet.store.database import Row, Transaction, View

_NOISE_MIN = 10
_SHARE = 10
# the queue's tenants, by steps over the index
_TENANTS = (
    "WITH RECURSIVE tenants (name) AS (SELECT min(tenant) FROM queue_messages WHERE queue = :queue"
    " AND tenant IS NOT NULL UNION ALL SELECT (SELECT min(tenant) FROM queue_messages WHERE"
    " queue = :queue AND tenant > name) FROM tenants WHERE name IS NOT NULL)"
)


def visible(tx: Transaction, queue: str, now_ms: int, limit: int) -> list[Row]:
    """What a receive takes of a standard queue."""
    given = {"queue": queue, "now": now_ms, "n": limit}
    order = "SELECT * FROM queue_messages WHERE queue = :queue AND visible_ms <= :now"
    plain = f"{order} ORDER BY visible_ms, id LIMIT :n"
    noisy = _noisy(tx, queue, now_ms)
    if not noisy:
        return tx.all(plain, given)
    others = ", ".join(f":noisy{number}" for number in range(len(noisy)))
    given |= {f"noisy{number}": name for number, name in enumerate(noisy)}
    first = tx.all(
        f"{_TENANTS} SELECT * FROM queue_messages WHERE id IN (SELECT m.id FROM tenants JOIN"
        " queue_messages AS m ON m.id IN (SELECT id FROM queue_messages WHERE queue = :queue AND"
        " tenant = name AND visible_ms <= :now ORDER BY visible_ms, id LIMIT :n)"
        f" WHERE name NOT IN ({others})) ORDER BY visible_ms, id LIMIT :n",
        given,
    )
    known = {row["id"] for row in first}
    rest = tx.all(plain, {**given, "n": limit + len(first)})
    return [*first, *(row for row in rest if row["id"] not in known)][:limit]


def _noisy(view: View, queue: str, now_ms: int) -> list[str]:
    rows = view.all(
        "SELECT tenant, count(*) AS taken FROM queue_messages INDEXED BY queue_messages_loud"
        " WHERE queue = ? AND receives > 0"
        " AND tenant IS NOT NULL AND visible_ms > ? GROUP BY tenant",
        (queue, now_ms),
    )
    total = sum(row["taken"] for row in rows)
    return [
        row["tenant"]
        for row in rows
        if row["taken"] >= _NOISE_MIN and row["taken"] * _SHARE > total
    ]
