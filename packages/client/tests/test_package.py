"""The package as a whole: its names, its sync and its async side, what it may import."""

from __future__ import annotations

import ast
import inspect
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

import headrace_client
from headrace_client import protocol
from headrace_client.ext import AsyncExt, Ext
from headrace_client.v1 import V1, AsyncV1
from headrace_client.v2 import V2, AsyncV2

ERRORS = ("ClientError", "Error", "SDKError", "ConnectionFailure", "InvalidRequest", "WaitTimeout")
ROOT = Path(headrace_client.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def _public(kind: type) -> dict[str, inspect.Signature]:
    methods = inspect.getmembers(kind, inspect.isfunction)
    return {name: inspect.signature(method) for name, method in methods if not name.startswith("_")}


@pytest.mark.parametrize(("first", "second"), [(V1, AsyncV1), (V2, AsyncV2), (Ext, AsyncExt)])
def test_both_clients_have_the_same_methods(first: type, second: type) -> None:
    alike = {name: str(signature).replace("AsyncPages", "Pages") for name, signature in _public(second).items()}
    assert {name: str(signature) for name, signature in _public(first).items()} == alike
    for name in _public(second):
        assert inspect.iscoroutinefunction(getattr(second, name)) != name.startswith("iterate_")


def test_both_clients_are_made_alike() -> None:
    first, second = (
        {name: str(parameter).replace("AsyncClient", "Client") for name, parameter in signature.parameters.items()}
        for signature in map(inspect.signature, (headrace_client.Client, headrace_client.AsyncClient))
    )
    assert first == second


ALIKE = {
    "get_server_info",
    "list_workflows",
    "create_workflow",
    "get_workflow",
    "delete_workflow",
    "run_workflow",
    "list_instances",
    "get_instance",
    "send_event",
    "cancel_event",
    "get_instance_history",
    "get_instance_stage_history",
    "list_triggers",
    "create_trigger",
    "read_trigger",
    "delete_trigger",
    "list_triggers_occurrences",
    "wait_for",
}


def test_methods_have_the_names_other_clients_give_them() -> None:
    aliases = {"get_server_info_orchestration", "orchestrationget_server_info"}
    assert set(_public(V1)) == ALIKE | aliases
    lists = ("workflows", "instances", "triggers", "triggers_occurrences")
    assert set(_public(V2)) == ALIKE | {"test_trigger"} | {f"iterate_{name}" for name in lists}


def test_every_exported_name_exists() -> None:
    assert headrace_client.__all__ == sorted(headrace_client.__all__)
    for name in headrace_client.__all__:
        assert getattr(headrace_client, name).__module__.startswith(("headrace_client", "types"))


def test_types_are_shipped() -> None:
    assert files("headrace_client").joinpath("py.typed").is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_its_two_dependencies(path: Path) -> None:
    allowed = {"headrace_client", "httpx2", "msgspec", "__future__", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(path.read_text())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        assert {module.partition(".")[0] for module in modules} <= allowed
        assert not (isinstance(node, ast.ImportFrom) and node.level)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_drivers_wait_for_anything(path: Path) -> None:
    if path.name in ("concurrency.py", "hooks.py"):
        return
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert not names & {"socket", "asyncio", "threading", "open"}


def test_the_version_sent_is_the_version_installed() -> None:
    assert version("headrace-client") == protocol.VERSION


def test_the_readme_shows_every_method() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert [name for name in {**_public(V1), **_public(V2), **_public(Ext)} if f"{name}(" not in readme] == []
    assert [name for name in ERRORS if f"`{name}`" not in readme] == []
