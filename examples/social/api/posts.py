"""Posts, likes and feeds.

A feed holds ids alone, written by `deliver`. What is read is checked: a post may be deleted by now,
or its author no longer followed.
"""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import accounts
import ids
import table
import texts
from problems import malformed, not_found
from web import Request, Result

PAGE, PAGE_MAX = 20, 25  # a page reads up to four items a post, and a batch has 100


def post(request: Request) -> Result:
    text = texts.cleaned(request.fields(text=2000).get("text", ""))
    if not 0 < texts.graphemes(text) <= texts.GRAPHEMES_MAX:
        raise malformed(f"'text' must have 1 to {texts.GRAPHEMES_MAX} characters.")
    me, new = request.user, ids.new()
    item = {
        **table.key(f"POST#{new}", "POST"),
        "kind": "post",
        "owner": f"POSTS#{me}",
        "place": new,
        "author": me,
        "text": text,
        "likes": 0,
    }
    own = {**table.key(f"FEED#{me}", new), "kind": "own", "author": me}
    table.transact(table.put(item), table.put(own), table.add(table.user_key(me), "posts", 1))
    return 201, view(item, False)


def delete(request: Request) -> Result:
    """Likes and feeds are tidied up later, by `fanout` and when they are read."""
    post_key = _post_key(request)
    try:
        table.transact(
            table.delete(post_key, "author = :me", me=request.user),
            table.add(table.user_key(request.user), "posts", -1),
        )
    except table.Refused:
        raise not_found("You have no such post.") from None
    return 204, None


def like(request: Request) -> Result:
    post_key = _post_key(request)
    mine = {**table.key(post_key["pk"], f"LIKE#{request.user}"), "kind": "like"}
    try:
        table.transact(table.put(mine, table.NEW), table.add(post_key, "likes", 1))
    except table.Refused as refusal:
        if 1 in refusal.failed:
            raise not_found("There is no such post.") from None
    return 204, None


def unlike(request: Request) -> Result:
    post_key = _post_key(request)
    mine = table.key(post_key["pk"], f"LIKE#{request.user}")
    with suppress(table.Refused):  # not liked, or deleted
        table.transact(table.delete(mine, table.THERE), table.add(post_key, "likes", -1))
    return 204, None


def feed(request: Request) -> Result:
    names, limit = ("pk", "sk"), request.limit(PAGE, PAGE_MAX)
    entries, more = table.query(
        names, f"FEED#{request.user}", _cursor(request), limit, ConsistentRead=True
    )
    wanted = [table.key(f"POST#{entry['sk']}", "POST") for entry in entries]
    edges = {entry["author"]: f"FOLLOWS#{entry['author']}" for entry in entries}
    wanted += [table.key(f"USER#{request.user}", edge) for edge in edges.values()]
    found = table.get_many(wanted + _likes(entries, request.user))
    keys = {(item["pk"], item["sk"]): item for item in found}
    posts = [
        _seen(keys, entry["sk"], request.user)
        for entry in entries
        if (f"POST#{entry['sk']}", "POST") in keys
        and (
            entry["author"] == request.user
            or (f"USER#{request.user}", edges[entry["author"]]) in keys
        )
    ]
    return 200, _page(posts, entries, more)


def by_author(request: Request) -> Result:
    author = accounts.find(request.path["handle"])["handle"]
    names, limit = ("owner", "place"), request.limit(PAGE, PAGE_MAX)
    found, more = table.query(
        names, f"POSTS#{author}", _cursor(request), limit, IndexName="by-owner"
    )
    entries = [{"sk": item["place"]} for item in found]
    likes = table.get_many(_likes(entries, request.user))
    keys = {(item["pk"], item["sk"]): item for item in [*found, *likes]}
    posts = [_seen(keys, entry["sk"], request.user) for entry in entries]
    return 200, _page(posts, entries, more)


def _likes(entries: list[table.Item], me: str) -> list[table.Item]:
    return [table.key(f"POST#{entry['sk']}", f"LIKE#{me}") for entry in entries]


def _seen(keys: dict[tuple[str, str], table.Item], post_id: str, me: str) -> dict[str, Any]:
    partition = f"POST#{post_id}"
    return view(keys[partition, "POST"], (partition, f"LIKE#{me}") in keys)


def _page(posts: list[Any], entries: list[table.Item], more: bool) -> dict[str, Any]:
    return {"posts": posts} | ({"next": entries[-1]["sk"]} if more else {})


def _cursor(request: Request) -> str:
    cursor = request.query.get("cursor", "")
    if cursor and not ids.is_one(cursor):
        raise malformed("'cursor' must be the 'next' of a page.")
    return cursor


def _post_key(request: Request) -> table.Item:
    if not ids.is_one(request.path["id"]):
        raise not_found("There is no such post.")
    return table.key(f"POST#{request.path['id']}", "POST")


def view(item: table.Item, liked: bool) -> dict[str, Any]:
    moment = datetime.fromtimestamp(ids.moment_ms(item["place"]) / 1000, UTC)
    return {
        "id": item["place"],
        "author": item["author"],
        "text": item["text"],
        "created_at": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "likes": int(item["likes"]),
        "liked": liked,
    }
