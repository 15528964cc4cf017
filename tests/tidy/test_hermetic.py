"""The watch over the default port finds what it is there for."""

from __future__ import annotations

import subprocess
import sys

from tests.hermetic import DefaultPortWatch


def test_a_connection_of_a_child_process_is_noted() -> None:
    watch = DefaultPortWatch(port=0)
    code = f"import socket; s = socket.create_connection(('127.0.0.1', {watch.port})); s.recv(1)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    watch.close()
    assert len(watch.visitors) == 1 and "create_connection" in watch.visitors[0]
