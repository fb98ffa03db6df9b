"""X-Ray's header as gateways pass it on: the client's trace, or a new one.

What else a client writes into it (the lineage that shows recursion) goes no further.
https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

from secrets import token_hex

from cloudlet.exchange import Request

HEADER = "x-amzn-trace-id"
_MEMBERS = ("Root", "Parent", "Sampled", "Self")


def members(request: Request, now_ms: int) -> dict[str, str]:
    given = request.headers.get(HEADER, "")
    found = dict(part.strip().split("=", 1) for part in given.split(";") if "=" in part)
    found = {name: value for name, value in found.items() if name in _MEMBERS}
    if "Root" not in found:
        found["Root"] = f"1-{now_ms // 1000:08x}-{token_hex(12)}"
    return found


def text(parts: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())
