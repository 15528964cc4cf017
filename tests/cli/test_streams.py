"""Unusual streams: closed, without an encoding, or with a user who does not answer a question."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEFINITION = "stages: [{wait_event: {event: zoë→日本}}]\nextra: 1\n"
COMMAND = (sys.executable, "-m", "headrace.cli")


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return {**kept, "HEADRACE_CONFIG": str(tmp_path / "profiles.toml"), **more}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_stream_has_no_bytes_for_is_escaped(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "zoë→日本.yaml"
    file.write_text(DEFINITION, encoding="utf-8")
    told = {}
    for output in ("table", "json", "yaml"):
        ran = subprocess.run(
            [*COMMAND, "workflows", "validate", str(file), "-o", output],
            env=environment(tmp_path, PYTHONIOENCODING=encoding),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert ran.returncode == 1, ran.stderr
        told[output] = ran.stdout.decode(encoding)
    assert "unknown key" in told["table"] and str(tmp_path) in told["table"]
    for document in (json.loads(told["json"]), yaml.safe_load(told["yaml"])):
        assert document["data"]["definitions"][0]["file"] == str(file)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_bug(tmp_path: Path, closed: str) -> None:
    for arguments, code in (("workflows validate -", 1), ("profiles list", 0), ("profiles show unknown", 2)):
        line = f"exec {sys.executable} -m headrace.cli {arguments} {closed}"
        ran = subprocess.run(
            ["sh", "-c", line], env=environment(tmp_path), input=b"", capture_output=True, check=False, timeout=60
        )
        assert (ran.returncode, b"bug" in ran.stderr) == (code, False), (arguments, ran.stderr)


def test_ctrl_c_at_a_prompt_is_an_interruption(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = ("profiles", "set", "a", "--client-id", "c", "--client-secret", "-")
    with subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(tmp_path),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 - no threads here
    ) as ran:
        os.close(theirs)
        seen = b""
        while b"Client secret" not in seen:
            seen += os.read(ours, 1_000)
        presses = 0
        while ran.poll() is None:  # again, as a person would: one may come right before the line is read
            os.write(ours, b"\x03")
            presses += 1
            with contextlib.suppress(subprocess.TimeoutExpired):
                ran.wait(timeout=5.0)
        # A second one that meets the process as it ends kills it, which a shell reports as 130 too.
        assert ran.returncode == 130 or (presses > 1 and ran.returncode == -signal.SIGINT)
    os.close(ours)
    assert not (tmp_path / "profiles.toml").exists()


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background ignores it, and so would its children
