"""`--watch`: look repeatedly and show changes, until the subject has ended or Ctrl-C.

On a terminal one picture is updated in place. Elsewhere each change is printed once: as lines, as a line of
JSON, or as a document of a YAML stream.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from headrace.cli import display
from headrace.cli.display import Heading, Output

if TYPE_CHECKING:
    from rich.live import Live

Json = dict[str, Any]

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
GROWTH = 1.5
SHARE_OF_TIME = 4
"""The pause after a look is at least this many times its duration, to spare the server."""
PATIENCE_S = 60.0
"""Seconds that a server may be unreachable, as during a restart, before watching ends."""


@dataclass(frozen=True, slots=True)
class View:
    """The result of one look.

    value     for a program, when anything has changed
    picture   everything, for a terminal
    news      the changes, for a pipe or file
    is_over   there will be no more changes
    is_newest_last  a low terminal shows the end of the picture
    """

    value: Json
    picture: Sequence[str]
    news: Sequence[str]
    has_changed: bool = True
    is_over: bool = False
    is_newest_last: bool = False


Look = Callable[[], View]


class Screen(Protocol):
    def show(self, view: View) -> None: ...
    def report(self, trouble: str) -> None: ...
    def close(self, *, is_over: bool) -> None: ...


class Watch:
    """Repeated looks; a look that fails for a while is repeated."""

    def __init__(
        self,
        look: Look,
        screen: Screen,
        *,
        sleep: Callable[[float], object],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._look = look
        self._screen = screen
        self._sleep = sleep
        self._monotonic_s = monotonic_s
        self._pause_s = FIRST_PAUSE_S
        self._answered_s: float | None = None
        self._is_away = False

    def run(self) -> View:
        """Watch until there are no more changes. Returns the last view."""
        view: View | None = None
        try:
            while view is None or not view.is_over:
                if view is not None or self._is_away:
                    pause_s = self._pause_s
                    self._pause_s = max(pause_s, min(pause_s * GROWTH, LONGEST_PAUSE_S))
                    self._sleep(pause_s)
                view = self._seen() or view
            return view
        finally:
            self._screen.close(is_over=view is not None and view.is_over)

    def _seen(self) -> View | None:
        """One look, or None if it failed and may be repeated."""
        began_s = self._monotonic_s()
        try:
            view = self._look()
        except Exception as error:  # noqa: BLE001 - raised again unless it may pass
            self._tolerate(error)
            return None
        self._answered_s = self._monotonic_s()
        if view.has_changed or self._is_away:
            self._screen.show(view)
            self._pause_s = FIRST_PAUSE_S
        self._is_away = False
        self._pause_s = max(self._pause_s, SHARE_OF_TIME * (self._answered_s - began_s))
        return view

    def _tolerate(self, error: Exception) -> None:
        """Report a temporary error. Raises it if the first look failed, or the server has been away too long."""
        if not _may_pass(error) or self._answered_s is None:
            raise error
        if self._monotonic_s() - self._answered_s > PATIENCE_S:
            raise error
        if not self._is_away:
            self._screen.report(f"{error}; trying again")
        self._is_away = True


def watch(look: Look, output: Output) -> View:
    return Watch(look, screen_of(output), sleep=pause, monotonic_s=time.monotonic).run()


def pause(seconds: float) -> None:
    time.sleep(seconds)


def screen_of(output: Output) -> Screen:
    if output is not Output.TABLE:
        return Documents(output)
    return TerminalScreen() if sys.stdout.isatty() else Lines()


class Documents:
    """Output for a program: one line of JSON, or one YAML document, per change."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def show(self, view: View) -> None:
        if not view.has_changed:
            return
        start = "---\n" if self._output is Output.YAML else ""
        sys.stdout.write(start + display.document_text({"data": view.value}, self._output, in_one_line=True) + "\n")
        sys.stdout.flush()

    def report(self, trouble: str) -> None:
        display.note(trouble)

    def close(self, *, is_over: bool) -> None:
        pass


class Lines:
    """Output for a pipe or a file: new lines only."""

    def show(self, view: View) -> None:
        if view.has_changed:
            display.lines(view.news)
            sys.stdout.flush()

    def report(self, trouble: str) -> None:
        display.note(trouble)

    def close(self, *, is_over: bool) -> None:
        pass


class TerminalScreen:
    """One picture, updated in place and cut to the terminal; printed whole at the end."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._view: View | None = None

    def show(self, view: View) -> None:
        self._view = view
        if view.is_over:
            return
        self._draw([*_fitting(view), "", "Ctrl-C stops watching; the instances continue."])

    def report(self, trouble: str) -> None:
        if self._view is not None:
            self._draw([*_fitting(self._view), "", trouble])

    def close(self, *, is_over: bool) -> None:
        if self._live is not None:
            if not is_over and self._view is not None:
                self._draw(_fitting(self._view))
            self._live.transient = is_over
            self._live.stop()
        if is_over and self._view is not None:
            display.lines(self._view.picture)

    def _draw(self, texts: Iterable[str]) -> None:
        from rich.text import Text

        picture = Text(no_wrap=True, overflow="ellipsis")
        for number, text in enumerate(texts):
            style = "bold" if isinstance(text, Heading) and display.has_style(sys.stdout) else ""
            picture.append(("\n" if number else "") + display.printable(text), style)
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(highlight=False), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        self._live.update(picture, refresh=True)


def _fitting(view: View) -> list[str]:
    """As many lines as the terminal shows above the two below and the cursor's."""
    import shutil

    texts = [part for text in view.picture for part in _split(text)]
    limit = max(shutil.get_terminal_size().lines - 4, 1)
    hidden = len(texts) - limit
    if hidden <= 0:
        return texts
    if view.is_newest_last:
        return [f"... {hidden} lines above", *texts[-limit:]]
    return [*texts[:limit], f"... {hidden} lines below"]


def _split(text: str) -> list[str]:
    if isinstance(text, Heading):
        return [Heading(part) for part in text.split("\n")]
    return text.split("\n")


def _may_pass(error: Exception) -> bool:
    """True for a temporary error: no response, or one that reports an unhealthy server."""
    from headrace_client import ConnectionFailure, Error, SDKError

    return isinstance(error, ConnectionFailure) or (isinstance(error, Error | SDKError) and error.status >= 500)
