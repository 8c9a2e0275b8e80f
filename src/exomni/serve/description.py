"""The OpenAPI description, with the bodies that we read ourselves and the errors that every endpoint may answer."""

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .requests import AnimateRequest, FaceRequest, Refused, RespondOptions, RespondRequest, SpeechRequest

REFERENCE = "#/components/schemas/"
_REFUSALS = {
    "400": "The audio or the text cannot be used.",
    "401": "The token is missing or wrong.",
    "403": "This page or host name may not talk to the server.",
    "404": "There is no such reply or format.",
    "408": "The request came too slowly.",
    "413": "Too big or too long.",
    "415": "Neither JSON nor a form, or a format that cannot hold the reply.",
    "422": "Not as described.",
    "429": "Too many requests a minute; `Retry-After` says when to come again.",
    "500": "Our fault; it is logged.",
    "503": "Busy, or about to stop; `Retry-After` says when to come again.",
}


def describe(app: FastAPI) -> dict:
    """The description of all endpoints."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for model in (RespondRequest, RespondOptions, AnimateRequest, FaceRequest, SpeechRequest, Refused):
            schema = model.model_json_schema(ref_template=REFERENCE + "{model}")
            schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
        refused = {"application/json": {"schema": {"$ref": REFERENCE + Refused.__name__}}}
        for path, methods in made["paths"].items():
            for about in methods.values():
                kept = {} if path == "/healthz" else _REFUSALS
                about["responses"] |= {s: {"description": text, "content": refused} for s, text in kept.items()}
        app.openapi_schema = made
    return app.openapi_schema
