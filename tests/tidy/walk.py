"""The way of one request through the program: `python -m tests.tidy.walk [--list] [--no-wait]` prints its figures.

One `POST /workflows/{id}/instances?wait=true` of a workflow with one transfer is served over HTTP by the whole
composition, with a real journal and a ledger that answers at once, after a first request that warms all caches. Every
call of a function of `headrace` is recorded, in all threads. A resumed coroutine counts as called again, by the frame
that awaits it.

A *climb* is a call from a layer to a higher one, by the layers of `[tool.importlinter]` in pyproject.toml: code below
decides what code above does, whatever the imports say. A return is none, nor is a call of an adapter through a port
that the lower layer declares: those of `PORTS`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import httpx2
import uvicorn

from bench.downstream import Ledger
from bench.workloads import VARIABLES, W1
from headrace.api.http_protocol import BoundedProtocol
from headrace.composition import compose
from headrace.settings import Settings
from tests.tidy.repository import ROOT

PACKAGE = str(ROOT / "src/headrace") + "/"
LIBRARIES = ("uvicorn", "starlette")
PORTS = ("telemetry",)
"""Packages that implement ports of lower layers; calls into them are calls of a port."""
TASKS = ("background.py", "composition/background.py", "events/duties.py")
"""Modules whose tasks run by the clock. What such a task does at the time of the request is no part of its walk."""


@dataclass(frozen=True)
class Step:
    """A call of a function: where it is, and where its nearest caller of the same program is."""

    file: str
    function: str
    line: int
    caller: str | None

    @property
    def package(self) -> str:
        """The package or module directly below `headrace`, which is what the layers name."""
        return _top(self.file)


@dataclass
class Walk:
    """The calls of one request, in order."""

    steps: list[Step] = field(default_factory=list[Step])
    libraries: Counter[str] = field(default_factory=Counter[str])
    """Calls of Python functions of the HTTP server's libraries."""

    @property
    def files(self) -> list[str]:
        return sorted({step.file for step in self.steps})

    @property
    def file_changes(self) -> int:
        return sum(a.file != b.file for a, b in zip(self.steps, self.steps[1:], strict=False))

    @property
    def package_changes(self) -> int:
        return sum(a.package != b.package for a, b in zip(self.steps, self.steps[1:], strict=False))

    def climbs(self) -> list[Step]:
        levels = layers()
        return [
            step
            for step in self.steps
            if step.caller is not None
            and _top(step.file) not in PORTS
            and levels[_top(step.file)] < levels[_top(step.caller)]
        ]


def layers() -> dict[str, int]:
    """The level of each module of the program, the highest is 0."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows: list[str] = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {name: level for level, row in enumerate(rows) for name in row.replace("|", " ").replace(":", " ").split()}


def _top(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


class Recorder:
    """Records the calls of all threads that begin after `installed`, while `walk` is set."""

    def __init__(self) -> None:
        self.walk: Walk | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or self.walk is None:
            return
        if not (file := _own_file(frame)):
            library = next((name for name in LIBRARIES if f"/{name}/" in frame.f_code.co_filename), None)
            if library is not None:
                self.walk.libraries[library] += 1
            return
        callers: list[str] = []
        outer = frame.f_back
        while outer is not None:
            callers += filter(None, [_own_file(outer)])
            outer = outer.f_back
        if file not in TASKS and not (callers and callers[-1] in TASKS):
            code = frame.f_code
            self.walk.steps.append(Step(file, code.co_qualname, code.co_firstlineno, callers[0] if callers else None))


def _own_file(frame: FrameType) -> str:
    name = frame.f_code.co_filename
    return name.removeprefix(PACKAGE) if name.startswith(PACKAGE) else ""


async def walked(folder: Path, recorder: Recorder, *, waits: bool = True) -> Walk:
    """Serve two requests, and record the second."""
    loop = asyncio.get_running_loop()
    ledger = await loop.create_server(Ledger, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{ledger.sockets[0].getsockname()[1]}"
    settings = Settings(ledger_url=url, log_instances_per_s=0)
    async with ledger, compose(settings, data=folder) as composition:
        config = uvicorn.Config(
            composition.app, log_config=None, access_log=False, lifespan="off", ws="none", http=BoundedProtocol
        )
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        listener = await loop.create_server(
            lambda: BoundedProtocol(config=config, server_state=server.server_state, app_state={}), "127.0.0.1", 0
        )
        address = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with listener, httpx2.AsyncClient(base_url=address, timeout=30) as http:
            created = await http.post("/workflows", json={"stages": W1})
            path = f"/workflows/{created.json()['data']['id']}/instances{'?wait=true' if waits else ''}"
            for is_recorded in (False, True):
                walk = Walk()
                recorder.walk = walk if is_recorded else None
                answer = await http.post(path, json=VARIABLES)
                recorder.walk = None
                ended = answer.json()["data"]
                assert answer.status_code == 201 and "error" not in ended and ended["terminated"] is waits, ended
    return walk


def measure(*, waits: bool = True) -> Walk:
    recorder = Recorder()
    with TemporaryDirectory() as folder, recorder.installed():
        return asyncio.run(walked(Path(folder), recorder, waits=waits))


def main(arguments: Sequence[str]) -> None:
    walk = measure(waits="--no-wait" not in arguments)
    if "--list" in arguments:
        for step in walk.steps:
            print(f"{step.file}:{step.line} {step.function}")
        print()
    counts = Counter(step.file for step in walk.steps)
    for file, count in counts.most_common():
        print(f"{count:5}  {file}")
    climbs = Counter(f"{step.caller} -> {step.file} {step.function}" for step in walk.climbs())
    for climb, count in climbs.items():
        print(f"climb: {climb} ({count})")
    packages = Counter(step.package for step in walk.steps)
    print(f"calls by package: {dict(packages.most_common())}; of libraries: {dict(walk.libraries)}")
    print(
        f"{len(walk.steps)} calls, {len(walk.files)} files, {walk.file_changes} changes of file, "
        f"{walk.package_changes} changes of package, {climbs.total()} climbs"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
