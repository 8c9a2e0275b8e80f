"""Why something was refused, in the words of the protocol."""

from importlib import resources
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.responses import JSONResponse

from .protocol.server import Error, ErrorBody, ErrorCode

_TABLES = yaml.safe_load((resources.files("exomni.serve") / "refusals.yaml").read_text("utf-8"))
STATUSES: dict[int, dict[str, Any]] = _TABLES["statuses"]
"""What each status of an HTTP answer `means`, and the `codes` that it is for."""
_TAGS = ("server_vad", "semantic_vad", "int", "constrained-int", "literal['inf']", "str", "float")
"""What pydantic adds to the place of an error where several types are possible."""


class Refusal(Exception):  # noqa: N818  it is no fault of ours
    """Something that a client asked for is not done.

    Args:
        code: of the protocol.
        message: what to do.
        param: the field at fault.
        retry_after: seconds to wait before trying again.
    """

    def __init__(self, code: ErrorCode, message: str, param: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.param, self.retry_after = param, retry_after

    def body(self, event_id: str | None = None) -> ErrorBody:
        """As it goes over the wire."""
        kind, message = _TABLES["types"].get(self.code, "invalid_request_error"), str(self)
        facts = {"param": self.param, "event_id": event_id, "retry_after": self.retry_after}
        return ErrorBody(type=kind, code=self.code, message=message, **facts)

    def event(self, event_id: str | None = None) -> Error:
        """As a message."""
        return Error(error=self.body(event_id))


def refuse(refusal: Refusal) -> JSONResponse:
    """The HTTP answer that says why not."""
    headers = {"retry-after": str(refusal.retry_after)} if refusal.retry_after else {}
    if refusal.code == "unauthorized":
        headers["www-authenticate"] = "Bearer"
    status = next((status for status, row in STATUSES.items() if refusal.code in row["codes"]), 400)
    return JSONResponse({"error": refusal.body().model_dump(exclude_none=True)}, status, headers)


def busy(retry_after: int) -> Refusal:
    """There is no place left."""
    return Refusal("server_busy", f"all places are taken; try again in {retry_after} s", retry_after=retry_after)


def event_refusal(error: ValidationError) -> Refusal:
    """Why a message is not one of the protocol."""
    first = _telling(error)
    place = first["loc"][1:]  # the first is the event's own type
    if first["type"] == "union_tag_invalid" and not place:
        return Refusal("unknown_event", f"there is no event {first['input'].get('type')!r}"[:200], "type")
    if not place and first["type"] in ("union_tag_not_found", "missing"):
        return Refusal("invalid_event", "an event is an object with a 'type'", "type")
    return _refusal(first, place)


def request_refusal(error: ValidationError, *parents: str) -> Refusal:
    """Why a request, or what stands under some fields of a message, is not as described."""
    first = _telling(error)
    return _refusal(first, (*parents, *first["loc"]))


def _telling(error: ValidationError) -> ErrorDetails:
    """The error that explains the others: an item of another kind lacks this and has that too much."""
    found = error.errors(include_url=False, include_context=False)
    return next((e for e in found if e["loc"][-1:] == ("type",) and e["type"] == "literal_error"), found[0])


def _refusal(details: ErrorDetails, place: tuple[int | str, ...]) -> Refusal:
    param = ".".join(str(part) for part in place if part not in _TAGS) or None
    code = _TABLES["mistakes"].get(details["type"], "invalid_event")
    other_kind = details["type"] in ("literal_error", "union_tag_invalid")
    if other_kind and place and (place[-1] == "type" or details["type"] == "union_tag_invalid"):
        code = "unsupported"
    return Refusal(code, f"{param or 'the message'}: {details['msg']}", param)
