"""downloads: pages and redirects by link (`/s/…`) and by hash (`/h/…`), receipts of recipients.

How pages look without the script is in `download_pages`.
Bytes never pass through: a download is a counted redirect to a presigned URL of S3.
"""

from typing import Any

import download_files
import download_hashes
from lambdashare_core import pages
from lambdashare_core.web import Handler, dispatch

ROUTES: dict[str, Handler] = {
    "GET /v1/hashes/{digest}": download_hashes.show,
    "POST /v1/shares/{id}/files/{n}/verifications": download_files.verification,
}
for method in ("GET", "HEAD"):
    ROUTES |= {
        f"{method} /s/{{id}}": download_files.page,
        f"{method} /s/{{id}}/{{n}}": download_files.redirect,
        f"{method} /s/{{id}}/{{n}}/{{name}}": download_files.redirect,
        f"{method} /h/{{digest}}": download_hashes.page,
    }


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return dispatch(event, ROUTES, pages.problem)
