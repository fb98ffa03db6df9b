"""uploads: shares are made, planned, completed, changed and deleted here.

Bytes never pass through: the plan is presigned URLs of S3. What a route does is in
`upload_shares` (the share) and `upload_files` (one of its files); `upload_plan` holds the rules.
"""

from typing import Any

import upload_files
import upload_shares
from lambdashare_core.web import Handler, dispatch

ROUTES: dict[str, Handler] = {
    "POST /v1/shares": upload_shares.create,
    "GET /v1/shares/{id}": upload_shares.show,
    "PATCH /v1/shares/{id}": upload_shares.change,
    "DELETE /v1/shares/{id}": upload_shares.delete,
    "POST /v1/shares/{id}/files/{n}/parts": upload_files.part_urls,
    "GET /v1/shares/{id}/files/{n}/parts": upload_files.parts_done,
    "POST /v1/shares/{id}/files/{n}/complete": upload_files.complete,
    "POST /v1/shares/{id}/files/{n}/digest": upload_files.witness,
    "PUT /{name}": upload_shares.put,
}


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return dispatch(event, ROUTES)
