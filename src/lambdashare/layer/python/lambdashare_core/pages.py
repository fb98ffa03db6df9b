"""Pages as the server makes them: whole without a script, taken over by `/assets/app.js`.

The head tells link previews the name and the size, nothing more.
"""

import json
from html import escape
from typing import Any

from lambdashare_core.problems import Problem
from lambdashare_core.web import Answer, Request, problem_answer

CSP = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob: https: http:",
        "media-src 'self' blob: https: http:",
        "connect-src * blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": CSP,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}


def problem(request: Request, problem: Problem) -> Answer:
    """Problem details under /v1 and for who asks for JSON; a page for people."""
    html = "text/html" in request.headers.get("accept", "")
    if request.path.startswith("/v1/") or request.wants_json() or not html:
        return problem_answer(problem, request.id)
    document = problem.document(request.id)
    main = f"<h1>{escape(document['title'])}</h1><p>{escape(problem.detail)}</p>"
    main += '<p><a href="/">Share a file</a></p>'
    answer = page_of("error", document["title"], problem.detail, main, document)
    answer.status = problem.status
    answer.headers |= problem.headers
    return answer


def page_of(page: str, title: str, note: str, main: str, data: dict[str, Any]) -> Answer:
    embedded = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} – λShare</title>"
        f'<meta property="og:title" content="{escape(title)}">'
        f'<meta property="og:description" content="{escape(note)}">'
        '<meta property="og:type" content="website"><meta property="og:site_name" content="λShare">'
        '<meta name="robots" content="noindex"><link rel="icon" href="/favicon.svg">'
        '<link rel="stylesheet" href="/assets/app.css">'
        '<script type="module" src="/assets/app.js"></script></head>'
        f'<body><div id="app" data-page="{page}"><main>{main}</main></div>'
        f'<script type="application/json" id="data">{embedded}</script></body></html>'
    )
    return Answer(200, body, dict(HEADERS))
