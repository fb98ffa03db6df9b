"""The pages of shares and of hashes, as they are without a script."""

from html import escape
from typing import Any

from lambdashare_core.pages import page_of
from lambdashare_core.web import Answer


def share_page(view: dict[str, Any]) -> Answer:
    files = view["files"]
    title = files[0]["name"] if len(files) == 1 else f"{len(files)} files"
    note = f"{human_size(view['size'])}, until {view['expires_at']}"
    rows = "".join(_file(file) for file in files)
    main = f"<h1>{escape(title)}</h1><p>{escape(note)}</p><ul>{rows}</ul>"
    return page_of("share", title, human_size(view["size"]), main, view)


def hash_page(found: dict[str, Any]) -> Answer:
    title = f"{found['digest'][:16]}…"
    rows = "".join(_found(file) for file in found["files"])
    main = f"<h1>Files with this hash</h1><ul>{rows}</ul>{_sums(found['digests'])}"
    return page_of("hash", title, human_size(found["size"]), main, found)


def _file(file: dict[str, Any]) -> str:
    size = "" if file["size"] is None else human_size(file["size"])
    link = f'<a href="{escape(file["url"])}">{escape(file["name"])}</a>'
    return f"<li>{link} {size} ({escape(file['phase'])}){_sums(file['digests'])}</li>"


def _found(file: dict[str, Any]) -> str:
    link = f'<a href="{escape(file["share_url"])}">{escape(file["name"])}</a>'
    return f"<li>{link} {human_size(file['size'])}, until {escape(file['expires_at'])}</li>"


def _sums(digests: dict[str, str]) -> str:
    if not digests:
        return ""
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>"
        for name, value in digests.items()
    )
    return f"<dl>{rows}</dl>"


def human_size(size: int) -> str:
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
