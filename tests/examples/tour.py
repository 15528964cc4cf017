"""Runs the shell blocks of a README line by line, as a reader would: ids that were printed take their words' places.

`headrace` is the real command, `curl` is done here (a machine may have none), and only the address is changed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from headrace.demo.stack import Stack
from headrace_client import Client, ReceivedEvent
from tests.support import warm
from tests.support.server import Server

DEFAULT_SERVER = "http://127.0.0.1:8484"
HEADRACE = Path(sys.executable).parent / "headrace"
PRINTED_BY = {
    "headrace workflows create": "WORKFLOW",
    "headrace workflows run": "INSTANCE",
    "headrace instances redrive": "CONTINUATION",
    "headrace instances undo": "UNDO",
    "headrace batch redrive": "BATCH",
    "headrace batch run": "BATCH",
    "headrace batch undo": "BATCH",
    "headrace run --plan": "INSTANCE",
    "headrace plan": "PLAN",
    "headrace triggers create": "TRIGGER",
    "headrace clients create": "CLIENT",
    "/api/wallets/wallets": "WALLET",
    "/api/payments/payments": "PAYMENT",
    "/api/payments/accounts": "PAYEE",
    "/api/payments/transfer-initiations": "INITIATION",
}
"""What a command or an address prints the id of."""
ALL_WORDS = "|".join((*PRINTED_BY.values(), "SECRET", "CERTIFICATE", "HASH", "NAME"))
PATIENCE_S = 20.0
_NOTHING: Mapping[str, str] = {}


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

    def received(self) -> list[ReceivedEvent]:
        """The events in the server's inbox, newest first."""
        with Client(self._server.url) as client:
            return client.orchestration.ext.list_events().data

    def run(self, block: str) -> list[str]:
        """What each command printed."""
        return [self.run_one(words) for words in commands(block)]

    def run_one(
        self,
        words: list[str],
        settings: Mapping[str, str] = _NOTHING,
        folder: Path | None = None,
        exit_code: int = 0,
    ) -> str:
        """`settings`: variables of a command; `folder`: where it is run, the root of the repository if not given."""
        filled = [self.filled(word) for word in words]
        if filled[0] == ".":  # `. .venv/bin/activate`: this is run in it
            return ""
        printed = self._curl(filled[1:]) if filled[0] == "curl" else self.headrace(filled, settings, folder, exit_code)
        self._remember(words, printed)
        return printed

    def headrace(
        self,
        words: list[str],
        settings: Mapping[str, str] = _NOTHING,
        folder: Path | None = None,
        exit_code: int = 0,
    ) -> str:
        assert Path(words[0]).name == "headrace", words
        words = [word.replace(DEFAULT_SERVER, self._server.url) for word in words]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        ran = warm.run(
            [str(HEADRACE), *words[1:]],
            env={**environment, "HEADRACE_CONFIG": os.devnull, "HEADRACE_SERVER": self._server.url, **settings},
            cwd=folder or self._root,
            timeout=60,
        )
        assert ran.returncode == exit_code, f"{words}: {ran.stderr}{ran.stdout}"
        return ran.stdout

    def until(self, words: list[str], wanted: str | Callable[[str], bool]) -> str:
        """The output of a reader who looks again until it shows this: a pattern, or what a function says."""
        is_there = wanted if callable(wanted) else re.compile(wanted).search
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_there(printed := self.run_one(words)):
            assert time.monotonic() < deadline_s, f"{words}: {printed}"
        return printed

    def _curl(self, words: list[str]) -> str:
        """`-X METHOD URL -H NAME:VALUE -d BODY`. curl calls every body a form."""
        given, url = _curl_options(words)
        body = given.get("-d")
        method = given.get("-X", "GET" if body is None else "POST")
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        if header := given.get("-H"):
            name, _, value = header.partition(":")
            headers[name.strip()] = value.strip()
        path = url.removeprefix(DEFAULT_SERVER)
        answer = self._server.request(method, path, body.encode() if body is not None else None, headers=headers)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body!r}"
        return answer.body.decode()

    def _remember(self, words: list[str], printed: str) -> None:
        command = " ".join(words)
        for start, word in PRINTED_BY.items():
            if word == "PLAN" and "Stored with ID" not in printed:  # it was made without a server
                continue
            is_path = start.startswith("/")
            if any(each.endswith(start) for each in words) if is_path else start in command and _prints_id(words):
                found = json.loads(printed)["data"]["id"] if is_path else _first_id(printed)
                self.ids[word] = found
                if secret := re.search(r"^Secret +(\S+)", printed, re.MULTILINE):
                    self.ids["SECRET"] = secret[1]

    def filled(self, word: str) -> str:
        return re.sub(rf"\b({ALL_WORDS})\b", lambda found: self.ids[found[0]], word)


def _prints_id(words: list[str]) -> bool:
    """A preview makes nothing."""
    return "--preview" not in words


def _curl_options(words: list[str]) -> tuple[dict[str, str], str]:
    """The options by name, and the address."""
    given: dict[str, str] = {}
    urls: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("-"):
            assert word in ("-X", "-H", "-d") and word not in given, f"not done here: {words}"
            given[word] = next(rest)
        else:
            urls.append(word)
    (url,) = urls
    assert url.startswith(DEFAULT_SERVER), words
    return given, url


def _first_id(printed: str) -> str:
    found = re.search(r"\bID:? +(\S+)", printed)
    assert found, f"no id was printed: {printed}"
    return found[1]
