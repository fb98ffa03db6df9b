"""What is answered instead of a result: application/problem+json (RFC 9457)."""


class Problem(Exception):
    def __init__(self, status: int, title: str, detail: str = "", retry_after_s: int = 0) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after_s = retry_after_s


def not_found(detail: str) -> Problem:
    return Problem(404, "Not found", detail)


def malformed(detail: str) -> Problem:
    return Problem(400, "Bad request", detail)
