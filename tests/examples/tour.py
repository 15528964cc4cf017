"""Runs the shell blocks of a README line by line, as a reader would: ids that were printed take their words' places.

`headrace` is the real command, `curl` is done here (a machine may have none), and only the address is changed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from headrace.cli.demo.stack import Stack
from tests.support.server import Server

DEFAULT_SERVER = "http://127.0.0.1:8484"
HEADRACE = Path(sys.executable).parent / "headrace"
PRINTED_BY = {
    "headrace workflows create": "WORKFLOW",
    "headrace workflows run": "INSTANCE",
    "headrace triggers create": "TRIGGER",
    "/api/wallets/wallets": "WALLET",
    "/api/payments/payments": "PAYMENT",
}
"""What a command or an address prints the id of."""
PATIENCE_S = 20.0


def commands(block: str) -> list[list[str]]:
    """Each command's words. A quotation or a backslash carries on to the next line."""
    found: list[list[str]] = []
    text = ""
    for line in block.splitlines():
        text += line
        try:
            words = [] if line.endswith("\\") else shlex.split(text, comments=True)
        except ValueError:  # a quotation is open
            text += "\n"
            continue
        if line.endswith("\\"):
            text = text[:-1]
            continue
        found += [words] if words else []
        text = ""
    assert not text, f"a command does not end: {text}"
    return found


class Tour:
    def __init__(self, server: Server, root: Path) -> None:
        self._server = server
        self._root = root
        self.ids: dict[str, str] = {}
        self.stack = Stack(server.url)

    def run(self, block: str) -> list[str]:
        """What each command printed."""
        return [self.run_one(words) for words in commands(block)]

    def run_one(self, words: list[str]) -> str:
        filled = [self._filled(word) for word in words]
        if filled[0] == ".":  # `. .venv/bin/activate`: this is run in it
            return ""
        printed = self._curl(filled[1:]) if filled[0] == "curl" else self.headrace(filled)
        self._remember(" ".join(words), printed)
        return printed

    def headrace(self, words: list[str]) -> str:
        assert Path(words[0]).name == "headrace", words
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        ran = subprocess.run(
            [str(HEADRACE), *words[1:]],
            env={**environment, "HEADRACE_SERVER": self._server.url},
            cwd=self._root,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ran.returncode == 0, f"{words}: {ran.stderr}{ran.stdout}"
        return ran.stdout

    def until(self, words: list[str], pattern: str) -> str:
        """The output of a reader who looks again until it shows this."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not re.search(pattern, printed := self.run_one(words)):
            assert time.monotonic() < deadline_s, f"{words}: {printed}"
        return printed

    def _curl(self, words: list[str]) -> str:
        """`-X METHOD URL`, with a body `-d`. curl calls every body a form."""
        method = words[words.index("-X") + 1]
        body = words[words.index("-d") + 1] if "-d" in words else None
        (url,) = [word for word in words if word.startswith(DEFAULT_SERVER)]
        assert len(words) == 3 + 2 * ("-d" in words), f"more than `-X METHOD URL -d BODY`: {words}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        path = url.removeprefix(DEFAULT_SERVER)
        answer = self._server.request(method, path, body.encode() if body is not None else None, headers=headers)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body!r}"
        return answer.body.decode()

    def _remember(self, command: str, printed: str) -> None:
        for start, word in PRINTED_BY.items():
            if start in command:
                is_answer = start.startswith("/")
                self.ids[word] = json.loads(printed)["data"]["id"] if is_answer else _first_id(printed)

    def _filled(self, word: str) -> str:
        return re.sub(r"\b(WORKFLOW|INSTANCE|TRIGGER|WALLET|PAYMENT)\b", lambda found: self.ids[found[0]], word)


def _first_id(printed: str) -> str:
    found = re.search(r"\bID: (\S+)", printed)
    assert found, f"no id was printed: {printed}"
    return found[1]
