"""The file of profiles: named servers and credentials. It holds secrets, so only its owner may read it."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from headrace.cli.errors import USAGE, Failure
from headrace.errors import InvalidValue

MAX_NAME_LENGTH = 64
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_LENGTH - 1}}}", re.ASCII)
_HEADER = "# Written by `headrace profiles set`, which keeps no comments. See `headrace profiles --help`.\n"


@dataclass(frozen=True, slots=True)
class Profile:
    """A server, and either a client's id and secret or a token. The environment may supply the secret."""

    server: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token_url: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def has_secret(self) -> bool:
        return bool(self.client_secret or self.token)


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles. `current` is the name of the default one."""

    current: str | None = None
    named: dict[str, Profile] = field(default_factory=dict[str, Profile])

    def get(self, name: str) -> Profile:
        """Return the profile of this name. Raises Failure for an unknown name."""
        if name not in self.named:
            known = f"Known profiles: {', '.join(sorted(self.named))}." if self.named else "No profile exists yet."
            hint = f"{known} Create one: headrace profiles set NAME --server URL"
            raise Failure(f"there is no profile {name!r}", code=USAGE, hint=hint)
        return self.named[name]


def profile_path(environ: Mapping[str, str]) -> Path | None:
    """HEADRACE_CONFIG, or `headrace/config.toml` in the user's configuration folder; None without a home folder."""
    folder = Path(environ.get("XDG_CONFIG_HOME", ""))
    path = (folder if folder.is_absolute() else Path("~/.config")) / "headrace" / "config.toml"
    try:
        return Path(environ.get("HEADRACE_CONFIG") or path).expanduser()
    except RuntimeError:
        return None


def checked_name(name: str) -> str:
    """Return the name. Raises InvalidValue for one with other characters or too many."""
    if not _NAME.fullmatch(name):
        raise InvalidValue("profile", f"{name!r} is not 1 to {MAX_NAME_LENGTH} letters, digits, '.', '_' and '-'")
    return name


def read_profiles(path: Path | None) -> Profiles:
    """Read the file; a missing one holds no profiles.

    Raises Failure if it is malformed, OSError if it is unreadable.
    """
    if path is None:
        return Profiles()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Profiles()
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
        _refuse_unknown(document, {"current", "profiles"}, "")
        named = {name: _profile(name, body) for name, body in _table(document.get("profiles", {}), "profiles").items()}
        current = document.get("current")
        if current is not None and not isinstance(current, str):
            raise ValueError("current must be text")
        if current is not None and current not in named:
            raise ValueError(f"current: there is no profile {current!r}")
        return Profiles(current, named)
    except (ValueError, InvalidValue) as error:  # from the decoder, TOML and the checks below
        raise Failure(f"{path}: {error}", code=USAGE) from None


def is_open_to_others(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def change_profiles(path: Path, change: Callable[[Profiles], Profiles]) -> tuple[Profiles, Profiles]:
    """Change the file under a lock, so that no change is lost.

    Returns the profiles before and after. Raises OSError.
    """
    from headrace.auth.secret_files import locked

    with locked(_ready(path)):
        before = read_profiles(path)
        after = change(before)
        write_profiles(path, after)
    return before, after


def write_profiles(path: Path, profiles: Profiles) -> None:
    """Write the file atomically, readable by its owner only. Raises OSError."""
    from headrace.auth.secret_files import write_private

    # The document contains only tables of text: TOML is written by hand.
    texts = [f"current = {_quoted(profiles.current)}"] if profiles.current else []
    for name, profile in profiles.named.items():
        texts += ["", f"[profiles.{_quoted(name)}]"]
        values = {each.name: getattr(profile, each.name) for each in fields(profile)}
        texts += [f"{setting} = {_quoted(value)}" for setting, value in values.items() if value]
    write_private(_ready(path), (_HEADER + "\n".join(texts) + "\n").encode())


def _ready(path: Path) -> Path:
    """Resolve links, so that a link stays one, and create the folder."""
    path = path.resolve()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _profile(name: str, body: Any) -> Profile:
    path = f"profiles.{checked_name(name)}"
    known = [each.name for each in fields(Profile)]
    _refuse_unknown(_table(body, path), set(known), f"{path}.")
    for setting, value in body.items():
        if not isinstance(value, str):
            raise ValueError(f"{path}.{setting} must be text")
    return Profile(**{setting: value or None for setting, value in body.items()})


def _table(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path} must be a table")
    return cast("dict[str, Any]", value)


def _refuse_unknown(table: dict[str, Any], known: set[str], path: str) -> None:
    """Refuse unknown settings: a misspelt `server` would send the request and credentials elsewhere."""
    for name in table:
        if name not in known:
            raise ValueError(f"{path}{name} is unknown; known are {', '.join(sorted(known))}")


def _quoted(text: str) -> str:
    safe = (f"\\u{ord(each):04X}" if ord(each) < 0x20 or ord(each) == 0x7F or each in '"\\' else each for each in text)
    return f'"{"".join(safe)}"'


def profile_names(incomplete: str) -> list[str]:
    """Complete a profile's name. An unreadable file yields no names."""
    try:
        named = read_profiles(profile_path(os.environ)).named
    except Exception:  # noqa: BLE001 - completion prints no errors
        return []
    return [name for name in named if name.startswith(incomplete)]
