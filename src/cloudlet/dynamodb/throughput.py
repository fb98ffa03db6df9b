"""What a table and its indexes are said to bear: provisioned, on demand at most, and warm.

cloudlet throttles nothing; it keeps and tells what was asked for, with AWS's bounds. `holder` is a
table's definition or that of one of its indexes. Warm values never go down.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
"""

from typing import Any

from cloudlet.call import Params
from cloudlet.dynamodb.numerics import invalid
from cloudlet.errors import AwsError

Holder = dict[str, Any]
_WRONG = "One or more parameter values were invalid: "
_MAX = 40_000  # units of a table or an index, AWS's default quota
_WARM, _ON_DEMAND = "WarmThroughput", "OnDemandThroughput"
# member of WarmThroughput → of ProvisionedThroughput, what tables on demand begin with
_UNITS = {
    "ReadUnitsPerSecond": ("ReadCapacityUnits", 12_000),
    "WriteUnitsPerSecond": ("WriteCapacityUnits", 4_000),
}
_INITIAL = (
    "initial throughput for OnDemand. See: https://docs.aws.amazon.com/amazondynamodb/latest/"
    "developerguide/on-demand-capacity-mode.html#on-demand-capacity-mode-initial"
)


def begin(holder: Holder, params: Params, region: str) -> None:
    """Of a new table or index."""
    name = params.get("IndexName")
    warm, most = params.get(_WARM), params.get(_ON_DEMAND)
    provisioned = holder["ProvisionedThroughput"]
    for member, units in (warm or {}).items():
        is_low = units < _floor(holder, member)
        lower = f"{_UNITS[member][0]} of ProvisionedThroughput" if provisioned else _INITIAL
        _check(member, units, (is_low, f"is lower than {lower}"), (_WARM, _of(name), region))
    if most is not None:
        _check_most(most, name, region, least=1)
        if provisioned:
            where = f" for index: {name}" if name else ""
            what = "cannot be specified when table BillingMode is PROVISIONED."
            raise invalid(f"{_WRONG}{next(iter(most))} for {_ON_DEMAND}{where} {what}")
        holder[_ON_DEMAND] = most
    warm_up(holder, warm or {})


def change(holder: Holder, params: Params, region: str) -> bool:
    """UpdateTable's, on the table or on one of its indexes."""
    name = params.get("IndexName")
    warm, most = params.get(_WARM), params.get(_ON_DEMAND)
    known = of(holder)
    for member, units in (warm or {}).items():
        lower = "is lower than current WarmThroughput, decreasing WarmThroughput is not supported"
        _check(member, units, (units < known[member], lower), (_WARM, _of(name), region))
    if most is not None:
        if holder["ProvisionedThroughput"]:
            where = f" for index : {name}" if name else ""
            what = "cannot be specified when the table BillingMode is PROVISIONED"
            raise invalid(f"{_WRONG}{next(iter(most), '')} for {_ON_DEMAND}{where} {what}")
        _check_most(most, name, region, least=-1)
        holder[_ON_DEMAND] = holder.get(_ON_DEMAND, {}) | most
    warm_up(holder, warm or {})
    return warm is not None or most is not None


def _of(name: str | None, colon: str = " ") -> str:
    return f"for index{colon}{name}" if name else "for table"


def _check_most(most: Params, name: str | None, region: str, least: int) -> None:
    """-1 takes a bound away."""
    for member, units in most.items():
        is_wrong = units < least or units == 0
        bound = (is_wrong, "is outside of valid range")
        _check(member, units, bound, (_ON_DEMAND, _of(name, " : "), region))


def _check(member: str, units: int, bound: tuple[bool, str], place: tuple[str, str, str]) -> None:
    kind, whose, region = place
    if bound[0]:
        raise invalid(f"{_WRONG}Requested {member} for {kind} {whose} {bound[1]}")
    if units > _MAX:
        quota = f"TableMax{'Read' if 'Read' in member else 'Write'}CapacityUnits"
        raise AwsError(
            "LimitExceededException",
            f"Subscriber limit exceeded: Requested {member} for {kind} {whose} exceeds {quota} of"
            f" the account in region {region}",
        )


def _floor(holder: Holder, member: str) -> int:
    units, initial = _UNITS[member]
    provisioned = holder["ProvisionedThroughput"]
    return int(provisioned[units]) if provisioned else initial


def of(holder: Holder) -> dict[str, int]:
    """What it is warm for: all that it ever had to bear."""
    known = holder.get(_WARM, {})
    return {member: max(known.get(member, 0), _floor(holder, member)) for member in _UNITS}


def warm_up(holder: Holder, wanted: dict[str, int]) -> None:
    holder[_WARM] = of(holder) | wanted


def switch(document: Holder) -> None:
    """Before and after a change of billing: what was reached stays."""
    for holder in (document, *(index for index in document["Indexes"] if index["IsGlobal"])):
        if document["BillingMode"] == "PAY_PER_REQUEST":
            holder["ProvisionedThroughput"] = None
        else:
            holder.pop(_ON_DEMAND, None)
        warm_up(holder, {})


def described(holder: Holder) -> dict[str, Any]:
    given = holder["ProvisionedThroughput"] or {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    shown: dict[str, Any] = {
        "ProvisionedThroughput": {**given, "NumberOfDecreasesToday": 0},
        _WARM: {**of(holder), "Status": "ACTIVE"},
    }
    if holder.get(_ON_DEMAND):
        shown[_ON_DEMAND] = holder[_ON_DEMAND]
    return shown


def at_creation(shown: dict[str, Any], params: Params) -> None:
    """dynamodb-059: CreateTable tells warm values only where they were asked for, and UPDATING."""
    indexes = {each["IndexName"]: each for each in params.get("GlobalSecondaryIndexes") or ()}
    for each in (shown, *shown.get("GlobalSecondaryIndexes", ())):
        given = indexes[each["IndexName"]] if "IndexName" in each else params
        if given.get(_WARM):
            each[_WARM]["Status"] = "UPDATING"
        else:
            del each[_WARM]
    if "BillingModeSummary" in shown:  # nor since when it is on demand
        del shown["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"]


def at_update(shown: dict[str, Any], before: dict[str, Any], params: Params) -> None:
    """dynamodb-060: UpdateTable answers with the old warm values, and UPDATING."""
    updates = [each.get("Update") or {} for each in params.get("GlobalSecondaryIndexUpdates") or ()]
    wanted = {each["IndexName"] for each in updates if each.get(_WARM)}
    old = {each["IndexName"]: each for each in before.get("GlobalSecondaryIndexes", ())}
    if params.get(_WARM):
        shown[_WARM] = before[_WARM] | {"Status": "UPDATING"}
    for each in shown.get("GlobalSecondaryIndexes", ()):
        if each["IndexName"] in wanted:
            each[_WARM] = old[each["IndexName"]][_WARM] | {"Status": "UPDATING"}
