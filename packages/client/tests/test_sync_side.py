"""The sync side is what the generator makes of the async one."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import headrace_client

TOOL = Path(__file__).parents[1] / "tools/sync_side.py"
PACKAGE = Path(headrace_client.__file__).parent


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sync_side", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for side in ("_async", "_sync"):
        shutil.copytree(PACKAGE / side, tmp_path / side, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_committed_sync_side_is_what_the_async_side_makes() -> None:
    checked = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_changed_a_missing_and_a_leftover_file_are_stale(tool: ModuleType, package: Path) -> None:
    assert tool.stale_files(package) == []
    edited = package / "_sync/v1.py"
    edited.write_text(edited.read_text().replace("running: bool | None = None", "running: bool = True"))
    (package / "_sync/ext.py").unlink()
    (package / "_sync/v0.py").write_text("")
    assert tool.stale_files(package) == ["ext.py", "v0.py", "v1.py"]


def test_a_change_of_the_async_side_makes_the_sync_side_stale(tool: ModuleType, package: Path) -> None:
    changed = package / "_async/driver.py"
    changed.write_text(changed.read_text().replace("follow_redirects=False", "follow_redirects=True"))
    assert tool.stale_files(package) == ["driver.py"]


def test_a_phrase_that_no_docstring_holds_is_an_error(tool: ModuleType, package: Path) -> None:
    client = package / "_async/client.py"
    client.write_text(client.read_text().replace("the tasks of an event loop", "tasks"))
    with pytest.raises(SystemExit, match="the tasks of an event loop"):
        tool.sync_files(package)


def test_nothing_async_is_left_and_every_file_says_that_it_is_generated() -> None:
    files = sorted((PACKAGE / "_sync").glob("*.py"))
    assert [path.name for path in files] == sorted(path.name for path in (PACKAGE / "_async").glob("*.py"))
    for path in files:
        text = path.read_text()
        assert text.startswith(f"# Generated from _async/{path.name} by `make client`"), path.name
        code = text.partition("\n")[2]
        assert not [word for word in ("async", "await", "Async", "Awaitable") if word in code], path.name
