"""`--watch`: looks again and again, and tells what has changed, until it is over or somebody presses Ctrl-C.

On a terminal one picture is kept up to date in its place. Elsewhere each change is told once: as lines, as a line of
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
    from rich.text import Text

Json = dict[str, Any]

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
GROWTH = 1.5
SHARE_OF_TIME = 4
"""A look that takes long is followed by a pause that many times as long, so that watching burdens no server."""
PATIENCE_S = 60.0
"""How long a server may be away, to come back after a crash, before watching gives up."""


@dataclass(frozen=True, slots=True)
class View:
    """What is seen at one look.

    value     for a program, once anything has changed
    picture   the whole, for a terminal
    news      what is told elsewhere
    is_over   nothing will change any more
    is_newest_last  the end of the picture is shown where a terminal is too low for all of it
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
    def tell(self, trouble: str) -> None: ...
    def close(self, *, is_over: bool) -> None: ...


class Watch:
    """One watching of what `look` sees; a server that is away for a while is looked at again."""

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
        """The last view, once it is over."""
        view: View | None = None
        try:
            while view is None or not view.is_over:
                if view is not None or self._is_away:
                    self._sleep(self._next_pause_s())
                view = self._seen() or view
            return view
        finally:
            self._screen.close(is_over=view is not None and view.is_over)

    def _seen(self) -> View | None:
        """None when there was no answer, and one may still come."""
        began_s = self._monotonic_s()
        try:
            view = self._look()
        except Exception as error:  # noqa: BLE001 - raised again unless it may pass
            self._bear(error)
            return None
        self._answered_s = self._monotonic_s()
        if view.has_changed or self._is_away:
            self._screen.show(view)
            self._pause_s = FIRST_PAUSE_S
        self._is_away = False
        self._pause_s = max(self._pause_s, SHARE_OF_TIME * (self._answered_s - began_s))
        return view

    def _bear(self, error: Exception) -> None:
        """Raises it unless the server was there before, and has not been away for long."""
        if not _may_pass(error) or self._answered_s is None:
            raise error
        if self._monotonic_s() - self._answered_s > PATIENCE_S:
            raise error
        if not self._is_away:
            self._screen.tell(f"{error}; trying again")
        self._is_away = True

    def _next_pause_s(self) -> float:
        pause_s = self._pause_s
        self._pause_s = max(pause_s, min(pause_s * GROWTH, LONGEST_PAUSE_S))
        return pause_s


def watch(look: Look, output: Output) -> View:
    return Watch(look, screen_of(output), sleep=pause, monotonic_s=time.monotonic).run()


def pause(seconds: float) -> None:
    time.sleep(seconds)


def screen_of(output: Output) -> Screen:
    if output is not Output.TABLE:
        return Documents(output)
    return TerminalScreen() if sys.stdout.isatty() else Lines()


class Documents:
    """For a program: one line of JSON, or one YAML document, for each change."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def show(self, view: View) -> None:
        if not view.has_changed:
            return
        start = "---\n" if self._output is Output.YAML else ""
        sys.stdout.write(start + display.document_text({"data": view.value}, self._output, in_one_line=True) + "\n")
        sys.stdout.flush()

    def tell(self, trouble: str) -> None:
        display.note(trouble)

    def close(self, *, is_over: bool) -> None:
        pass


class Lines:
    """For a pipe or a file: what is new."""

    def show(self, view: View) -> None:
        if view.has_changed:
            display.lines(view.news)
            sys.stdout.flush()

    def tell(self, trouble: str) -> None:
        display.note(trouble)

    def close(self, *, is_over: bool) -> None:
        pass


class TerminalScreen:
    """One picture, drawn anew in its place when something has changed, cut to the terminal; whole at the end."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._view: View | None = None

    def show(self, view: View) -> None:
        self._view = view
        if view.is_over:
            return
        self._draw([*_fitting(view), "", "Ctrl-C ends the watching, nothing else."])

    def tell(self, trouble: str) -> None:
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
        picture = _rich_text(texts)
        if self._live is None:
            self._live = _new_live()
            self._live.start()
        self._live.update(picture, refresh=True)


def _new_live() -> Live:
    from rich.console import Console
    from rich.live import Live

    return Live(console=Console(highlight=False), auto_refresh=False, redirect_stdout=False, redirect_stderr=False)


def _fitting(view: View) -> list[str]:
    """As much as there is room for, beside two lines below and the one of the cursor."""
    import shutil

    texts = [part for text in view.picture for part in _split(text)]
    room = max(shutil.get_terminal_size().lines - 4, 1)
    hidden = len(texts) - room
    if hidden <= 0:
        return texts
    if view.is_newest_last:
        return [f"... {hidden} lines above", *texts[-room:]]
    return [*texts[:room], f"... {hidden} lines below"]


def _split(text: str) -> list[str]:
    if isinstance(text, Heading):
        return [Heading(part) for part in text.split("\n")]
    return text.split("\n")


def _rich_text(texts: Iterable[str]) -> Text:
    from rich.text import Text

    picture = Text(no_wrap=True, overflow="ellipsis")
    for number, text in enumerate(texts):
        style = "bold" if isinstance(text, Heading) and display.has_style(sys.stdout) else ""
        picture.append(("\n" if number else "") + display.printable(text), style)
    return picture


def _may_pass(error: Exception) -> bool:
    """Trouble that ends by itself: no answer, or one that says the server is not well."""
    from headrace_client import ConnectionFailure, Error, SDKError

    return isinstance(error, ConnectionFailure) or (isinstance(error, Error | SDKError) and error.status >= 500)
