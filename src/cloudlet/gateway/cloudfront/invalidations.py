"""CloudFront invalidations: done as soon as they are asked for.

https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html
"""

from cloudlet.call import Call, Output, Result
from cloudlet.errors import AwsError
from cloudlet.gateway.cloudfront import distributions, items
from cloudlet.gateway.cloudfront.items import Document, Item, members
from cloudlet.store.database import Transaction, View

_KIND = "invalidation"
_PATHS_MAX = 3000


async def create_invalidation(call: Call) -> Result:
    """The same CallerReference with the same paths is the same invalidation."""
    batch = call.params["InvalidationBatch"]
    paths = [str(path) for path in members(batch["Paths"])]
    _check(batch, paths)
    distribution = call.params["DistributionId"]

    def save(tx: Transaction) -> Item:
        distributions.named(tx, distribution)
        for other in _of(tx, distribution):
            if other.document["CallerReference"] == batch["CallerReference"]:
                if members(other.document["Paths"]) == paths:
                    return other
                raise AwsError("InvalidationBatchAlreadyExists", "CallerReference was used before.")
        document = {"DistributionId": distribution, **batch}
        return items.add(tx, _KIND, document, call.now_ms)

    item = await call.cloud.database.write(save)
    if call.state is not None:
        call.state.cache.invalidate(distribution, paths)
    place = f"distribution/{distribution}/invalidation/{item.id}"
    location = f"https://cloudfront.amazonaws.com/2020-05-31/{place}"
    return Result({"Invalidation": _describe(item), "Location": location})


def get_invalidation(call: Call, view: View) -> Output:
    distributions.named(view, call.params["DistributionId"])
    item = items.find(view, _KIND, call.params["Id"])
    if item is None or item.document["DistributionId"] != call.params["DistributionId"]:
        raise AwsError("NoSuchInvalidation", "The specified invalidation does not exist.", 404)
    return {"Invalidation": _describe(item)}


def list_invalidations(call: Call, view: View) -> Output:
    """The newest first."""
    distributions.named(view, call.params["DistributionId"])
    found = _of(view, call.params["DistributionId"])[::-1]
    entries = [
        {"Id": item.id, "CreateTime": item.created_ms / 1000, "Status": "Completed"}
        for item in found
    ]
    return {"InvalidationList": items.page(entries, call.params)}


def _of(view: View, distribution: str) -> list[Item]:
    return [i for i in items.every(view, _KIND) if i.document["DistributionId"] == distribution]


def _check(batch: Document, paths: list[str]) -> None:
    if not paths or batch["Paths"].get("Quantity") not in (None, len(paths)):
        raise AwsError(
            "InconsistentQuantities", "The value of Quantity and the size of Items do not match."
        )
    if len(paths) > _PATHS_MAX:
        raise AwsError("BatchTooLarge", "Your request has too many paths.", 413)
    for path in paths:
        if not path.startswith("/") or "*" in path[:-1]:
            raise AwsError(
                "InvalidArgument", "Your request contains one or more invalid invalidation paths."
            )


def _describe(item: Item) -> Document:
    batch = {name: item.document[name] for name in ("Paths", "CallerReference")}
    return {
        "Id": item.id,
        "Status": "Completed",
        "CreateTime": item.created_ms / 1000,
        "InvalidationBatch": batch,
    }
