"""The watch over the default port finds what it is there for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.hermetic import DefaultPortWatch

ROOT = Path(__file__).parents[2]


def test_a_connection_of_a_child_process_is_noted() -> None:
    watch = DefaultPortWatch(port=0)
    code = f"import socket; s = socket.create_connection(('127.0.0.1', {watch.port})); s.recv(1)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    watch.close()
    assert len(watch.visitors) == 1 and "create_connection" in watch.visitors[0]


WORKER = """
import sys
from tests.hermetic import DefaultPortWatch
watch = DefaultPortWatch(port=0)
print(watch.port, flush=True)
sys.stdin.readline()
watch.close()
print(len(watch.visitors))
"""


def test_a_worker_notes_connections_of_the_other_workers() -> None:
    environ = {**os.environ, "PYTEST_XDIST_WORKER": "gw0"}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", WORKER], cwd=ROOT, env=environ, **pipes) as worker:
        assert worker.stdout is not None
        port = int(worker.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.recv(1)
        assert worker.communicate("\n", timeout=60)[0].strip() == "1"
