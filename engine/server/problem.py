"""What is answered when a request cannot be: a status and OpenAI's error object."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

INVALID, SERVER = "invalid_request_error", "server_error"


class Problem(Exception):
    """A request that is refused, or that failed.

    Args:
        status: of HTTP. message: for people, one line. param: the field at fault. code: for programs.
    """

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def as_json(self) -> dict[str, Any]:
        """The error object."""
        kind = SERVER if self.status >= 500 else INVALID
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> Problem:
    """A fault of the client's: status 400."""
    return Problem(400, message, param=param, code=code)


def of_validation(error: ValidationError) -> Problem:
    """The first thing that is wrong with a body."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return invalid(f"the body is no JSON: {first['msg'].removeprefix('Invalid JSON: ')}", code="json_invalid")
    # Of a union ("a string or a list") every branch is told with its own name at the end; the field is what they share.
    path = [str(part) for part in first["loc"] if not isinstance(part, str) or part.isidentifier()]
    field = ".".join(path)
    if first["type"] == "extra_forbidden":
        return invalid(f"unknown argument: {field}", field, "unknown_argument")
    said = first["msg"].removeprefix("Value error, ")
    return invalid(f"{field}: {said}" if field else said, field or None)
