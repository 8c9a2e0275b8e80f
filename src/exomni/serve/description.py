"""The endpoints' description: as OpenAPI, with the bodies that we read ourselves and the errors that every endpoint may
answer; and as a page of plain HTML, which needs no script and no network."""

import json
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from jinja2 import Environment, PackageLoader
from pydantic import BaseModel

from . import requests as bodies
from .refusals import STATUSES

REFERENCE = "#/components/schemas/"
_BODIES = (
    bodies.RespondRequest, bodies.RespondOptions, bodies.AnimateRequest, bodies.FaceRequest, bodies.SpeechRequest,
    bodies.Refused,
)  # fmt: skip


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
                kept = {} if path == "/healthz" else STATUSES
                about["responses"] |= {str(s): {"description": r["means"], "content": refused} for s, r in kept.items()}
        app.openapi_schema = made
    return app.openapi_schema


def docs_page(description: dict[str, Any]) -> str:
    """HTML of an OpenAPI description."""
    environment = Environment(loader=PackageLoader("exomni", "serve"), autoescape=True)
    environment.filters["indented"] = partial(json.dumps, indent=1)
    return environment.get_template("docs.html").render(description)
