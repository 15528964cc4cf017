"""`headrace init`: write a first workflow and its JSON Schema for editors, without a server."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated, cast

import typer

from headrace.cli import display
from headrace.cli.errors import USAGE, Failure

DEFAULT_NAME = "workflow.yaml"
_SUFFIXES = (".yaml", ".yml")


def init(
    path: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE", help=f"A folder gets a {DEFAULT_NAME}.", show_default=False)
    ] = Path(),
) -> None:
    """Write a first workflow.

    It is commented, runs with `headrace dev`, and names its JSON Schema, which is written beside it. Existing files are
    not overwritten, except a schema written by another version.
    """
    from headrace.cli.validation import schema_text
    from headrace.workflows.schema import FILE_NAME

    if path.suffix == ".json":
        hint = f"Name a folder, or a file: headrace init {shlex.quote(str(path.with_suffix('.yaml')))}"
        raise Failure(f"{path} is not a YAML file, and only YAML can hold the comments", code=USAGE, hint=hint)
    file = path if path.suffix in _SUFFIXES else path / DEFAULT_NAME
    schema_file = file.parent / FILE_NAME
    if file.exists():
        hint = f"Name another: headrace init OTHER.yaml. Its schema alone: headrace workflows schema > {schema_file}"
        raise Failure(f"{file} already exists and is not overwritten", code=USAGE, hint=hint)
    if schema_file.exists() and not _is_headrace_schema(schema_file):
        raise Failure(f"{schema_file} already exists and is not a schema of Headrace", code=USAGE)

    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8") as new:
        text = files("headrace.cli").joinpath("starter.yaml").read_text("utf-8")
        new.write(text.replace("SCHEMA_FILE", FILE_NAME).replace("WORKFLOW_FILE", shlex.quote(str(file))))

    # The schema is written atomically, because an editor may be reading the file.
    partial = schema_file.with_name(schema_file.name + ".part")
    partial.write_text(schema_text(), encoding="utf-8")
    partial.replace(schema_file)
    display.line(f"Written: {file} and {schema_file}")
    display.line("Its first lines explain how to run it.")


def _is_headrace_schema(schema_file: Path) -> bool:
    from headrace.workflows.schema import SCHEMA_ID

    try:
        found: object = json.JSONDecoder().decode(schema_file.read_text("utf-8"))
    except ValueError:
        return False
    return isinstance(found, dict) and cast("dict[str, object]", found).get("$id") == SCHEMA_ID
