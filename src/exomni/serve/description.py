"""The endpoints' description: as OpenAPI, with the bodies that we read ourselves and the errors that every endpoint may
answer; and as a page of plain HTML, which needs no script and no network."""

import json
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from . import requests as bodies

REFERENCE = "#/components/schemas/"
_BODIES = (
    bodies.RespondRequest, bodies.RespondOptions, bodies.AnimateRequest, bodies.FaceRequest, bodies.SpeechRequest,
    bodies.Refused,
)  # fmt: skip
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


def request_body(json_model: type[BaseModel], form_options: type[BaseModel] | None = None) -> dict[str, Any]:
    """How a request's body is described; it is read by us, so that every mistake gets the same kind of answer."""
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": REFERENCE + json_model.__name__}}}
    if form_options is not None:
        parts = {
            "audio": {"type": "string", "format": "binary", "description": "A recording."},
            "options": {"type": "string", "description": f"JSON of {form_options.__name__}."},
        }
        form = {"type": "object", "properties": parts, "required": ["audio"]}
        content["multipart/form-data"] = {"schema": form}
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of all endpoints."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for model in _BODIES:
            schema = model.model_json_schema(ref_template=REFERENCE + "{model}")
            schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
        refused = {"application/json": {"schema": {"$ref": REFERENCE + bodies.Refused.__name__}}}
        for path, methods in made["paths"].items():
            for about in methods.values():
                kept = {} if path == "/healthz" else _REFUSALS
                about["responses"] |= {s: {"description": text, "content": refused} for s, text in kept.items()}
        app.openapi_schema = made
    return app.openapi_schema


def docs_page(description: dict[str, Any]) -> str:
    """HTML of an OpenAPI description."""
    rows = [
        _endpoint(path, method, about)
        for path, methods in description["paths"].items()
        for method, about in methods.items()
    ]
    schemas = [
        f"<h3 id='{escape(name)}'>{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=1))}</pre>"
        for name, schema in description.get("components", {}).get("schemas", {}).items()
    ]
    info = description["info"]
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(info['title'])}</title>"
        f"<meta name='viewport' content='width=device-width'><h1>{escape(info['title'])}</h1>"
        f"<p>{escape(info['description'])} As JSON: <a href='openapi.json'>openapi.json</a>.</p>"
        f"{''.join(rows)}<h2>Shapes</h2>{''.join(schemas)}</html>"
    )


def _endpoint(path: str, method: str, about: dict[str, Any]) -> str:
    body = about.get("requestBody", {}).get("content", {})
    takes = "".join(
        f"<li><code>{escape(kind)}</code> {_reference(content.get('schema', {}))}" for kind, content in body.items()
    )
    answers = "".join(
        f"<li>{escape(status)}: {escape(answer.get('description', ''))}"
        for status, answer in sorted(about["responses"].items())
    )
    return (
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(about.get('description', ''))}</p>"
        + (f"<p>Takes</p><ul>{takes}</ul>" if takes else "")
        + f"<p>Answers</p><ul>{answers}</ul>"
    )


def _reference(schema: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f"<a href='#{escape(name)}'>{escape(name)}</a>" if name else escape(", ".join(schema.get("properties", {})))
