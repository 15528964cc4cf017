"""The pages of operations: V1, V2, and what there is beside them."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from docs.generator.examples import NEED_MORE, Example, World, client_class
from docs.generator.markdown import block, code, page, pretty, sentence, slug, table
from docs.generator.names import go_name, python_name, typescript_name
from docs.generator.types import bounds, type_of
from headrace.api import openapi
from headrace.api.app import TABLE
from headrace.api.operations import Operation
from tests.support.server import Server

Json = dict[str, Any]

FORM = "application/x-www-form-urlencoded"
CLIENT = """from headrace_client import Client

client = Client(server_url="http://127.0.0.1:8484")
{version} = client.orchestration.{version}"""
MAX_LINES = 80
LONG = "(a long document)"
REFUSAL = "(a refusal)"
WRONG = """stages:
  - send:
      source: {account: {id: "users:1", ledger: main}}
      destination: {wallet: {id: "0190b5c2"}}
      amount: {amount: 100.5, asset: USD/2}
  - delay: {duration: soon}
"""
INTRODUCTION = """The {count} operations of {version}, in alphabetical order of their ids. Each example runs as it stands beside
`headrace dev`; WORKFLOW, INSTANCE and TRIGGER stand for ids, all answers have one date. Paths answer under
`/api/orchestration`, as here, and at the root, as behind a gateway that strips it.

A POST or PUT that writes takes `Idempotency-Key`: the same key with the same request is answered with the stored answer
and `Idempotency-Hit: true`, and is not carried out again. What every refusal looks like: [errors](errors.md).

Beside the operations: [stages](stages.md) with [the send matrix](stages.md#the-send-matrix), [variables](variables.md),
[expressions](expressions.md) of triggers, [models](models.md), [the command line](command-line.md),
[settings](settings.md), [metrics](metrics.md)."""


@functools.cache
def description() -> Json:
    return openapi.describe(TABLE)


def operations_of(version: str) -> list[Operation]:
    """V1: all with a scope that are neither of V2 nor of ours."""
    found = {
        "v1": [row for row in TABLE if row.scope and not row.path.startswith(("/v2/", "/ext/"))],
        "v2": [row for row in TABLE if row.path.startswith("/v2/")],
    }
    return sorted(found[version], key=lambda row: row.operation_id.lower())


def beside() -> list[Operation]:
    taken = {id(row) for version in ("v1", "v2") for row in operations_of(version)}
    rest = [row for row in TABLE if id(row) not in taken]
    return sorted(rest, key=lambda row: (row.tag, row.path, row.method))


def record() -> dict[str, str]:
    """The answers of a server that is started for this, as Markdown, by operation id."""
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder) / "data") as server:
        answers = {row.operation_id: _recorded(server, row) for row in TABLE if _has_json_answer(row)}
        return answers | {REFUSAL: _refused(server)}


def _refused(server: Server) -> str:
    """The answer to a definition that is wrong in two places."""
    answer = server.request("POST", "/workflows", WRONG.encode(), headers={"Content-Type": "application/yaml"})
    assert answer.status == 400, answer
    return block("json", pretty(answer.json))


def _has_json_answer(row: Operation) -> bool:
    has_json = row.media_type == "application/json" and FORM not in row.body_media_types and row.status < 300
    return has_json and row.operation_id not in NEED_MORE


def _recorded(server: Server, row: Operation) -> str:
    world = World.made(server)
    try:
        answer = world.ask(Example.of(row))
        assert answer.status == row.status, f"{row.operation_id}: {answer}"
        shown = pretty(world.shown(answer)) if answer.body else ""
        return block("json", shown) if shown and shown.count("\n") < MAX_LINES else LONG if shown else ""
    finally:
        world.close()


def version_page(version: str, answers: Mapping[str, str]) -> str:
    rows = operations_of(version)
    named = version.upper()
    intro = INTRODUCTION.format(count=len(rows), version=named)
    python = CLIENT.format(version=version) if client_class(version) else ""
    return page(
        f"orchestration-{version}",
        intro,
        "In Python, each example below goes on from\n\n" + block("python", python) if python else "",
        "## Operations",
        _overview(rows),
        "## Names in the SDKs",
        "The official SDKs, unmodified, and headrace-client, call them\n\n" + _names(version, rows),
        *(_section(row, answers) for row in rows),
    )


def beside_page(answers: Mapping[str, str]) -> str:
    rows = beside()
    intro = (
        "What Headrace answers beside the orchestration API: events, the audit trail, probes, metrics, tokens, "
        "its own description. "
        "Paths answer at the root and under `/api/orchestration`."
    )
    return page("Beside the API", intro, _overview(rows), *(_section(row, answers) for row in rows))


def _overview(rows: Iterable[Operation]) -> str:
    cells = [
        (f"[{row.operation_id}](#{slug(row.operation_id)})", code(f"{row.method} {row.path}"), sentence(row.summary))
        for row in rows
    ]
    return table(("Operation", "Route", "Does"), cells)


def _names(version: str, rows: Iterable[Operation]) -> str:
    heads = ("Operation", "Go", "TypeScript", "Python, and headrace-client")
    return table(heads, (_names_of(version, row) for row in rows))


def _names_of(version: str, row: Operation) -> tuple[str, ...]:
    """headrace-client has the Python SDK's names, and a shorter one where that is long."""
    ours = (Example.of(row).python() or "").partition("(")[0].partition(".")[2]
    official = python_name(version, row.operation_id)
    return (
        f"[{row.operation_id}](#{slug(row.operation_id)})",
        code(go_name(version, row.operation_id)),
        code(typescript_name(version, row.operation_id)),
        "<br>".join(code(name) for name in dict.fromkeys((official, ours)) if name),
    )


def _section(row: Operation, answers: Mapping[str, str]) -> str:
    described = _described(row)
    parts = [f"## {row.operation_id}", sentence(row.summary) + (f" {row.description}" if row.description else "")]
    parts.append(f"{code(f'{row.method} {row.path}')}, {_access(row)}.")
    parts += [*_example(row, answers), *_request(described), *_answers(described)]
    return "\n\n".join(part for part in parts if part)


def _described(row: Operation) -> Json:
    return description()["paths"][row.path][row.method.lower()]


def _access(row: Operation) -> str:
    return f"scope {code(row.scope)}" if row.scope else "open to everyone"


def _example(row: Operation, answers: Mapping[str, str]) -> list[str]:
    if FORM in row.body_media_types:
        return []
    if row.operation_id in NEED_MORE:
        return ["It needs a token of a person: [Approve runs](../how-to/approve.md) has an example."]
    example = Example.of(row)
    answer = answers.get(row.operation_id)
    parts = [block("sh", example.curl)]
    if python := example.python():
        parts.append(block("python", python))
    if answer is not None:
        parts.append(f"answers {row.status}\n\n{answer}" if answer else f"answers {row.status}, without a body.")
    return parts


def _request(described: Json) -> list[str]:
    rows = [
        (
            code(given["name"]),
            given["in"],
            type_of(given["schema"]),
            "yes" if given["required"] else "",
            f"{given['description']} {_limits(given['schema'])}".strip(),
        )
        for given in described["parameters"]
    ]
    if body := described.get("requestBody"):
        first: Json = next(iter(body["content"].values()))
        media = " or ".join(code(name) for name in body["content"])
        about = f"{_meaning(first['schema'])} As {media}."
        rows.append(("body", "", type_of(first["schema"]), "yes" if body["required"] else "", about.strip()))
    return ["**Parameters**", table(("Name", "In", "Type", "Required", "Meaning"), rows)] if rows else []


def _limits(schema: Json) -> str:
    found = bounds(schema)
    return f"{found[0].upper()}{found[1:]}." if found else ""


def _meaning(schema: Json) -> str:
    return str(schema.get("description", ""))


def _answers(described: Json) -> list[str]:
    rows: list[tuple[str, str, str]] = []
    for status, response in described["responses"].items():
        if "$ref" in response:
            rows.append(("any other", "[Error](models.md#error)", "Something went wrong; the message tells more."))
            continue
        content: dict[str, Json] = response.get("content", {})
        shown = " or ".join(type_of(media["schema"]) for media in content.values())
        rows.append((status, shown or "no body", sentence(response["description"])))
    return ["**Answers**", table(("Status", "Body", "Meaning"), rows)]
