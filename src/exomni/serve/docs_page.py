"""The endpoints as a page to read: plain HTML of the OpenAPI description, so that it needs no script and no network."""

import json
from html import escape


def docs_page(description: dict) -> str:
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


def _endpoint(path: str, method: str, about: dict) -> str:
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


def _reference(schema: dict) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f"<a href='#{escape(name)}'>{escape(name)}</a>" if name else escape(", ".join(schema.get("properties", {})))
