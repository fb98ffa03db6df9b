"""The trace header: made where a caller sends none, and the lineage in it that shows recursion.

`Root=1-…;Parent=…;Sampled=0;Lineage=1a2b3c4d:2|…`: a function that is invoked adds itself, or one
to its number, and its SDK hands the header on with whatever it sends.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

import hashlib
from functools import lru_cache

from cloudlet.config import Config

RECURSION_MAX = 16
_OWN = "Lineage="


def made(config: Config, is_sampled: bool) -> str:
    moment = f"{config.now_ms() // 1000:08x}"
    random = config.new_secret(20)
    return f"Root=1-{moment}-{random[:24]};Parent={random[24:40]};Sampled={int(is_sampled)}"


def descended(header: str, arn: str) -> tuple[str, int]:
    """The header for an invocation of the function, and how often its chain has come by before."""
    mark = _mark(arn)
    if _OWN not in header:
        return f"{header};{_OWN}{mark}:0", 0
    parts = header.split(";")
    place = next(n for n, part in enumerate(parts) if part.startswith(_OWN))
    counts = dict(item.partition(":")[::2] for item in parts[place][len(_OWN) :].split("|"))
    known = counts.get(mark, "")
    count = int(known) + 1 if known.isdigit() else 0
    counts[mark] = str(count)
    parts[place] = _OWN + "|".join(f"{name}:{number}" for name, number in counts.items())
    return ";".join(parts), count


def shown(header: str) -> str:
    """What a caller is told: root and sampling."""
    return ";".join(part for part in header.split(";") if part.startswith(("Root=", "Sampled=")))


@lru_cache(maxsize=1024)
def _mark(arn: str) -> str:
    return hashlib.sha256(arn.encode()).hexdigest()[:8]
