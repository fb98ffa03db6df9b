"""Who follows whom. Both directions and both counters change in one transaction, or none does."""

import accounts
import table
from problems import Problem, not_found
from web import Request, Result


def follow(request: Request) -> Result:
    me, them = request.user, accounts.require_handle(request.path["handle"])
    if me == them:
        raise Problem(422, "Not possible", "Nobody follows themselves.")
    forth, back = _edges(me, them)
    try:
        table.transact(
            table.put({**forth, "kind": "follow", "user": me, "followed": them}, table.NEW),
            table.put({**back, "follower": me}),
            *_counts(me, them, 1),
        )
    except table.Refused as refusal:
        if 2 in refusal.failed:
            raise not_found(f"There is no user {them}.") from None
    return 204, None  # as before, if it was so already


def unfollow(request: Request) -> Result:
    me, them = request.user, accounts.require_handle(request.path["handle"])
    forth, back = _edges(me, them)
    try:
        table.transact(table.delete(forth, table.THERE), table.delete(back), *_counts(me, them, -1))
    except table.Refused as refusal:
        if 0 not in refusal.failed:
            raise
    return 204, None


def _edges(me: str, them: str) -> tuple[table.Item, table.Item]:
    return (
        table.key(f"USER#{me}", f"FOLLOWS#{them}"),
        table.key(f"FOLLOWERS#{them}", me),
    )


def _counts(me: str, them: str, amount: int) -> list[table.Item]:
    return [
        table.add(table.user_key(them), "followers", amount),
        table.add(table.user_key(me), "following", amount),
    ]
