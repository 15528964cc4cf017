"""`/docs`: the OpenAPI document as one HTML page.

The page is rendered once, when it is first read. It needs no script and fetches nothing: its content security policy
allows only its own style.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

import msgspec

from headrace import json_text
from headrace.api.context import Context
from headrace.api.operations import Operation
from headrace.api.requests import Request
from headrace.api.responses import Headers, Response

Json = dict[str, Any]
Row = tuple[str, ...]


async def show(context: Context, request: Request) -> Response:
    return context.describe().page


async def redirect(context: Context, request: Request) -> Response:
    """To the console for a browser. The location is relative: a gateway may serve the API below a prefix."""
    is_browser = "text/html" in request.header("accept")
    return Response(307, b"", ((b"location", b"console/" if is_browser else b"docs"),))


OPERATIONS = (
    Operation(
        method="GET",
        path="/",
        operation_id="getRoot",
        scope=None,
        handler=redirect,
        tag="Server",
        summary="Redirect to the console, or to the description of the API",
        status=307,
        errors=(),
    ),
    Operation(
        method="GET",
        path="/docs",
        operation_id="getDocs",
        scope=None,
        handler=show,
        tag="Server",
        summary="Read the description of the API as a page",
        response=str,
        media_type="text/html",
        errors=(),
    ),
)


def page_response(description: Json) -> Response:
    """The page of an OpenAPI document, with the headers that allow its style only."""
    style = files("headrace.api").joinpath("docs.css").read_text("utf-8")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers: Headers = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )
    return Response(200, page(description, style).encode(), headers)


def page(description: Json, style: str) -> str:
    """The HTML of an OpenAPI document."""
    about = description["info"]
    found = [
        (method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    found.sort(key=lambda row: row[1].startswith("/v2/"))  # operations of V2 come last
    sections = [(tag["name"], [row for row in found if tag["name"] in row[2]["tags"]]) for tag in description["tags"]]
    shapes: Json = description["components"]["schemas"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(about['title'])} API</title><style>{style}</style></head><body>"
        f'<div class="page">{_navigation(sections, shapes)}<main>'
        f"<h1>{escape(about['title'])} API <small>{escape(about['version'])}</small></h1>"
        f"<p>{escape(about['summary'])} {escape(about['description'])}</p>"
        "<p>Every path answers at the root and under <code>/api/orchestration</code>. "
        'As JSON: <a href="openapi.json">openapi.json</a>.</p>'
        + "".join(_section(tag, rows) for tag, rows in sections)
        + '<h2 id="schemas">Schemas</h2>'
        + "".join(_shape(name, shape) for name, shape in sorted(shapes.items()))
        + "</main></div></body></html>\n"
    )


def _navigation(sections: list[tuple[str, list[tuple[str, str, Json]]]], shapes: Json) -> str:
    parts: list[str] = []
    for tag, rows in sections:
        links = "".join(_link("operation-" + row["operationId"], row["summary"]) for _, _, row in rows)
        parts.append(f"<h2>{escape(tag)}</h2><ul>{links}</ul>")
    links = "".join(_link("schema-" + name, name) for name in sorted(shapes))
    return f'<nav aria-label="Contents">{"".join(parts)}<h2>Schemas</h2><ul>{links}</ul></nav>'


def _link(anchor: str, text: str) -> str:
    return f'<li><a href="#{escape(anchor)}">{escape(text)}</a></li>'


def _section(tag: str, rows: list[tuple[str, str, Json]]) -> str:
    return f"<h2>{escape(tag)}</h2>" + "".join(_operation(*row) for row in rows)


def _operation(method: str, path: str, operation: Json) -> str:
    scope = "scope " + escape(operation["x-required-scopes"][0]) if "x-required-scopes" in operation else "open"
    anchor = escape(operation["operationId"])
    responses = _responses(operation["responses"])
    return (
        f'<article id="operation-{anchor}"><h3>{escape(operation["summary"])}</h3>'
        f'<div class="route"><span class="method {method}">{method.upper()}</span><code>{escape(path)}</code>'
        f'<span class="scope">{scope}</span></div>'
        f"<p>{_prose(operation.get('description', ''))}</p>"
        f"{_parameters(operation['parameters'])}{_body(operation.get('requestBody'))}{responses}"
        f'<p class="scope">operationId <code>{anchor}</code></p></article>'
    )


def _parameters(parameters: list[Json]) -> str:
    rows = [
        (f"<code>{escape(row['name'])}</code>", escape(row["in"]), _type(row["schema"]), _prose(row["description"]))
        for row in parameters
    ]
    return _titled("Parameters", ("Name", "In", "Type", "Meaning"), rows)


def _body(body: Json | None) -> str:
    if body is None:
        return ""
    content: Json = body["content"]
    need = "required" if body["required"] else "optional"
    first: Json = next(iter(content.values()))
    types = " or ".join(f"<code>{escape(media_type)}</code>" for media_type in content)
    return f"<h4>Body ({need})</h4><p>{types}: {_type(first['schema'])}</p>{_example(first)}"


def _responses(responses: Json) -> str:
    rows: list[Row] = []
    for status, response in responses.items():
        if "$ref" in response:
            continue  # the default response has the same schema as the errors above it
        content: dict[str, Json] = response.get("content", {})
        shown = " or ".join(_type(media["schema"]) for media in content.values())
        rows.append((escape(status), shown, _prose(response["description"])))
    return _titled("Responses", ("Status", "Body", "Meaning"), rows)


def _shape(name: str, shape: Json) -> str:
    required = shape.get("required", [])
    rows = [
        (
            f"<code>{escape(field)}</code>",
            "required" if field in required else "optional",
            _type(schema),
            _prose(schema.get("description", "")),
        )
        for field, schema in shape.get("properties", {}).items()
    ]
    about = f"<p>{_prose(shape.get('description', ''))}</p>"
    table = _table(("Field", "", "Type", "Meaning"), rows)
    return f'<article id="schema-{escape(name)}"><h3>{escape(name)}</h3>{about}{table}</article>'


def _prose(text: str) -> str:
    """HTML of a text; parts in backquotes become code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _type(schema: Json) -> str:
    """A schema in a few words, with links to named schemas."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f'<a href="#schema-{escape(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    kind: str = schema.get("type", "any JSON")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and schema.get("additionalProperties"):
        return f"object of {_type(schema['additionalProperties'])}"
    return escape(schema.get("format", kind))


def _example(content: Json) -> str:
    if "example" not in content:
        return ""
    text = msgspec.json.format(json_text.encode(content["example"]), indent=2).decode()
    return f"<pre><code>{escape(text)}</code></pre>"


def _titled(title: str, heads: Row, rows: Iterable[Row]) -> str:
    table = _table(heads, rows)
    return f"<h4>{title}</h4>{table}" if table else ""


def _table(heads: Row, rows: Iterable[Row]) -> str:
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
