"""The blocks of a Markdown page, and how a page is run from its top to its end, as its reader would.

A comment just before a block says what a test cannot guess:

    <!-- not run: why -->     needs what a test machine has not; `test_docs.py` lists all of these
    <!-- file: NAME -->       the reader saves it under this name, in the folder where the commands are run
    <!-- exit: CODE -->       its last command ends with this exit code, all others with 0
    <!-- typed: TEXT -->      what its last command asks for, and the reader types
    <!-- stop -->             here the reader has stopped the server (it stands alone, as does the next)
    <!-- beside: COMMAND -->  the page is read beside a server that this has started
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from docs.generator.examples import World
from headrace.api import yaml
from headrace.workflows.config import parse_config
from headrace_client import Client
from tests.examples.tour import ALL_WORDS, DEFAULT_SERVER, HEADRACE, Tour, commands
from tests.support import warm
from tests.support.server import Server

OLD_SERVER = "https://old.example.com"
ROOT = Path(__file__).parents[2]
_PIECE = re.compile(
    r"(?:<!-- (?P<mark>(?:not run|file|exit|typed): [^\n]*?) -->\n\n?)?^```(?P<language>\w*)\n(?P<text>.*?)^```$"
    r"|<!-- (?P<alone>stop|beside: [^\n]*) -->",
    re.MULTILINE | re.DOTALL,
)
_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_DATE = r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?Z| UTC)?"
_FILES = frozenset(("cp", "mv", "mkdir", "rm", "ls", "cat", "head"))
_WITHOUT_A_SERVER = frozenset(("migrate", "backup", "restore", "export", "import", "engine", "test", "prove"))
"""Commands that ask no server: they work on the journal itself, or on nothing but files."""
_SETTING = re.compile(r"[A-Z_]+=")


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    text: str
    mark: str = ""

    @property
    def is_fenced(self) -> bool:
        return self.mark not in ("stop", "beside")

    @property
    def reason_not_run(self) -> str | None:
        return self._marked("not run")

    @property
    def file(self) -> str | None:
        return self._marked("file")

    @property
    def exit_code(self) -> int:
        return int(self._marked("exit") or 0)

    @property
    def typed(self) -> str:
        return f"{self._marked('typed') or ''}\n"

    def _marked(self, name: str) -> str | None:
        return self.mark.removeprefix(f"{name}: ") if self.mark.startswith(f"{name}: ") else None


def blocks_of(path: Path) -> list[Block]:
    found: list[Block] = []
    for piece in _PIECE.finditer(path.read_text()):
        is_block = piece["language"] is not None
        found.append(
            Block(piece["language"], piece["text"], piece["mark"] or "") if is_block else _alone(piece["alone"])
        )
    return found


def _alone(mark: str) -> Block:
    """`beside` is a command that the reader does not see."""
    return Block("", "", mark) if mark == "stop" else Block("sh", mark.removeprefix("beside: "), "beside")


def comparable(text: str) -> list[str]:
    """Lines without what differs from run to run: ids, dates, widths of columns."""
    text = re.sub(rf"{_ID}|\b({ALL_WORDS})\b", "ID", text)
    text = re.sub(rf"{_DATE}|\bDATE\b", "DATE", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def shows(printed: str, wanted: str) -> bool:
    """Whether each of these lines was printed, one as often as it stands there; `...` is anything."""
    lines = comparable(printed)
    for line in comparable(wanted):
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("...")))
        found = next((each for each in lines if pattern.fullmatch(each)), None)
        if found is None:
            return False
        lines.remove(found)
    return True


def _is_local(words: list[str]) -> bool:
    """True for a command that asks no server; any other would ask what listens at the default address."""
    is_of_a_file = words[1] == "plan" and "--books" in words
    is_of_a_file = is_of_a_file or words[1:3] in (["workflows", "validate"], ["workflows", "graph"])
    return words[1] in ("init", "clients", "profiles", "demo") or words[1].startswith("--") or is_of_a_file


@dataclass
class Reading:
    """One page, run in a folder of its own. `close` it."""

    folder: Path
    start_server: Callable[..., Server]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    names: dict[str, Any] = field(default_factory=dict[str, Any])
    tour: Tour | None = None
    server: Server | None = None
    old_server: Server | None = None
    latest: tuple[list[str], str] | None = None

    def __post_init__(self) -> None:
        self.environment["HEADRACE_CONFIG"] = str(self.folder / "config.toml")

    def read(self, page: Path) -> None:
        for block in blocks_of(page):
            if block.reason_not_run is None:
                self.run(block)

    def run(self, block: Block) -> None:
        if block.mark == "stop":
            assert self.server is not None
            self.server.stop()
        elif block.file is not None:
            (self.folder / block.file).write_text(self._addressed(block.text))
        else:
            runners = {"sh": self._sh, "python": self._python, "text": self._text, "": self._text, "json": self._json}
            runners.get(block.language, self._other)(block)

    def close(self) -> None:
        """Also the clients that the page has left open."""
        for value in self.names.values():
            if isinstance(value, Client):
                value.close()
        if self.tour is not None:
            self.tour.stack.close()

    # what each language does

    def _sh(self, block: Block) -> None:
        """A word of the venv's activation is nothing here: everything is run in it."""
        *first, last = commands(block.text)
        for words in first:
            self.latest = (words, self._command(words))
        self.latest = (last, self._command(last, block.exit_code, block.typed))

    def _python(self, block: Block) -> None:
        source = self._addressed(self._filled(block.text))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), mock.patch.dict(os.environ, self.environment):
            exec(compile(source, "a page of docs", "exec"), self.names)
        self.latest = (["python"], printed.getvalue())

    def _text(self, block: Block) -> None:
        """What the command before it printed; it is asked again where the server is not there yet."""
        assert self.latest is not None, "this text follows no command"
        words, printed = self.latest
        if shows(printed, block.text):
            return
        assert words[0] == "headrace" and words[1] != "dev" and self.tour is not None, printed
        self.tour.until(words, lambda text: shows(text, block.text))

    def _json(self, block: Block) -> None:
        """What the command before it answered, where that is JSON."""
        shown = json.loads(block.text)
        if self.latest is not None and (self.latest[0][0] == "curl" or "json" in self.latest[0]):
            assert comparable(json.dumps(shown)) == comparable(json.dumps(json.loads(self.latest[1])))

    def _other(self, block: Block) -> None:
        assert block.language == "yaml", f"who runs this? {block}"
        valid_workflow(block.text)

    # commands

    def _command(self, words: list[str], exit_code: int = 0, typed: str = "") -> str:
        settings = dict(word.split("=", 1) for word in words if _SETTING.match(word))
        words = words[len(settings) :] if _SETTING.match(words[0]) else words
        name = Path(words[0]).name
        if words[0] == ".":
            return ""
        if name == "export":
            return self._export(" ".join(words[1:]))
        if name == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
            return ""
        if name == "headrace" and words[1] in ("dev", "serve"):
            return self._serve(words[1:], settings)
        if name in _FILES or name in ("python", "python3"):
            return self._real(words, settings)
        if name == "headrace" and words[1] in _WITHOUT_A_SERVER:
            return self._real([str(HEADRACE), *words[1:]], settings, exit_code, typed)
        if self.tour is None and name == "headrace" and _is_local(words):
            return self._real([str(HEADRACE), *words[1:]], settings, exit_code, typed)
        assert self.tour is not None, f"no server was started before {words}"
        assert not typed.strip(), f"not done beside a server: {words}"
        return self.tour.run_one(words, settings | self.environment, self.folder, exit_code)

    def _export(self, text: str) -> str:
        name, _, value = text.partition("=")
        ran = subprocess.run(["bash", "-c", f"printf %s {value}"], capture_output=True, text=True, check=True)
        self.environment[name] = ran.stdout
        return ""

    def _serve(self, words: list[str], settings: dict[str, str]) -> str:
        """`dev` stays, with its data beside the page's files; `serve` has nothing to serve here and is only started."""
        if words[0] == "serve":
            return self._started_once(words, settings)
        if self.server is not None and self.server.is_running:
            self.server.stop()
        if self.server is None:
            self.server = self.start_server(".headrace", arguments=words[1:], settings=self.environment | settings)
            self.tour = Tour(self.server, ROOT)
        else:
            self.server.arguments, self.server.settings = words[1:], self.environment | settings
            self.server.start()
        said = self.server.log().replace(self.server.url, DEFAULT_SERVER)
        told = dict(re.findall(r"export (HEADRACE_\w+)=(\S+)", said))  # credentials, for the commands beside it
        self.environment |= {name: value for name, value in told.items() if name != "HEADRACE_SERVER"}
        return said

    def _started_once(self, words: list[str], settings: dict[str, str]) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        environment |= {"HEADRACE_PORT": "0", "HEADRACE_DATA": str(self.folder / "serve")}
        environment |= self.environment | settings
        arguments = [str(HEADRACE), *words]
        pipe = subprocess.PIPE
        with subprocess.Popen(arguments, env=environment, cwd=self.folder, stdout=pipe, stderr=pipe) as server:
            assert server.stdout is not None and server.stderr is not None
            said = server.stdout.readline().decode()
            server.terminate()
            rest = server.stdout.read().decode()
            assert said.startswith("Headrace is ready at http://127.0.0.1:"), server.stderr.read().decode()
        return said + rest

    def _real(self, words: list[str], settings: dict[str, str], exit_code: int = 0, typed: str = "") -> str:
        if Path(words[0]).name.startswith("python"):
            words = [sys.executable, *words[1:]]
        filled = [self._filled(word) for word in words]
        environment = {**os.environ, **self.environment, **settings}
        if words[0] == str(HEADRACE):
            ran = warm.run(filled, cwd=self.folder, env=environment, typed=typed)
        else:
            ran = subprocess.run(
                filled, cwd=self.folder, env=environment, input=typed, capture_output=True, text=True, check=False
            )
        assert ran.returncode == exit_code, f"{shlex.join(words)}: {ran.stderr}"
        return ran.stdout if ran.returncode == 0 else ran.stdout + ran.stderr

    # words

    def _filled(self, text: str) -> str:
        return self.tour.filled(text) if self.tour is not None else text

    def _addressed(self, text: str) -> str:
        if OLD_SERVER in text:
            text = text.replace(OLD_SERVER, self._old_server().url)
        return text.replace(DEFAULT_SERVER, self.server.url) if self.server is not None else text

    def _old_server(self) -> Server:
        """Another server, with a workflow, a run of it and a trigger."""
        if self.old_server is None:
            self.old_server = self.start_server("old")
            World.made(self.old_server)
        return self.old_server


def valid_workflow(text: str) -> None:
    parse_config(yaml.decode(text.encode()).value)
