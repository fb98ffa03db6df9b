"""api: the operations of `openapi.yaml`.

In comes API Gateway's proxy event, out goes its answer. Who asks is in the authorizer's context;
the gateway has looked at key, session and body before.
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import json
import logging
from typing import Any

import accounts
import devices
import follows
import posts
from problems import Problem
from web import Request, answer, problem

log = logging.getLogger()
log.setLevel(logging.INFO)

ROUTES = {
    "POST /users": accounts.sign_up,
    "POST /sessions": accounts.sign_in,
    "GET /me": accounts.me,
    "GET /users/{handle}": accounts.show,
    "PUT /users/{handle}/followers/me": follows.follow,
    "DELETE /users/{handle}/followers/me": follows.unfollow,
    "POST /posts": posts.post,
    "DELETE /posts/{id}": posts.delete,
    "PUT /posts/{id}/likes/me": posts.like,
    "DELETE /posts/{id}/likes/me": posts.unlike,
    "GET /feed": posts.feed,
    "GET /users/{handle}/posts": posts.by_author,
    "PUT /devices/{device}": devices.register,
    "DELETE /devices/{device}": devices.forget,
}


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    operation = f"{event['httpMethod']} {event['resource']}"
    request = Request.of(event)
    try:
        result = ROUTES[operation](request)
    except Problem as refusal:
        result = problem(refusal, request.id)
    except Exception:
        log.exception("%s", operation)
        result = problem(Problem(500, "It is us, not you"), request.id)
    status, body = result
    log.info(json.dumps({"operation": operation, "user": request.user, "status": status}))
    return answer(status, body, request.id)
