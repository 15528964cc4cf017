"""The file of profiles: servers and credentials under names. It holds secrets, so only its owner may read it."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from headrace.cli.exits import USAGE, Failure
from headrace.errors import InvalidValue

MAX_NAME_LENGTH = 64
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_LENGTH - 1}}}", re.ASCII)
_HEADER = "# Written by `headrace profiles set`, which keeps no comments. See `headrace profiles --help`.\n"


@dataclass(frozen=True, slots=True)
class Profile:
    """A server, and either a client's id and secret or a token. The secret may be left to the environment."""

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
    """`current` is the name of the one that is used where none is named."""

    current: str | None = None
    named: dict[str, Profile] = field(default_factory=dict[str, Profile])

    def get(self, name: str) -> Profile:
        """Raises Failure for a name that is not there."""
        if name not in self.named:
            known = f"There are: {', '.join(sorted(self.named))}." if self.named else "There is none yet."
            hint = f"{known} Make one: headrace profiles set NAME --server URL"
            raise Failure(f"there is no profile {name!r}", code=USAGE, hint=hint)
        return self.named[name]


def profile_path(environ: Mapping[str, str]) -> Path | None:
    """HEADRACE_CONFIG, or `headrace/config.toml` in the user's folder of configuration; None for who has no home."""
    folder = Path(environ.get("XDG_CONFIG_HOME", ""))
    path = (folder if folder.is_absolute() else Path("~/.config")) / "headrace" / "config.toml"
    try:
        return Path(environ.get("HEADRACE_CONFIG") or path).expanduser()
    except RuntimeError:
        return None


def checked_name(name: str) -> str:
    """Raises InvalidValue."""
    if not _NAME.fullmatch(name):
        raise InvalidValue("profile", f"{name!r} is not 1 to {MAX_NAME_LENGTH} letters, digits, '.', '_' and '-'")
    return name


def read_profiles(path: Path | None) -> Profiles:
    """No profiles where there is no file. Raises Failure for one that cannot be understood, OSError."""
    if path is None:
        return Profiles()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Profiles()
    try:
        return _profiles(tomllib.loads(content.decode("utf-8-sig")))
    except (ValueError, InvalidValue) as error:  # of the decoder, of TOML, and our own
        raise Failure(f"{path}: {error}", code=USAGE) from None


def is_open_to_others(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def change_profiles(path: Path, change: Callable[[Profiles], Profiles]) -> tuple[Profiles, Profiles]:
    """What was there, and what is there now. One change at a time: none is lost to another. Raises OSError."""
    from headrace.auth.files import locked

    with locked(_ready(path)):
        before = read_profiles(path)
        after = change(before)
        write_profiles(path, after)
    return before, after


def write_profiles(path: Path, profiles: Profiles) -> None:
    """Whole or not at all, and readable by its owner only. Raises OSError."""
    from headrace.auth.files import write_private

    write_private(_ready(path), (_HEADER + _toml(profiles)).encode())


def _ready(path: Path) -> Path:
    """Where the file itself is, so that a link stays a link; in a folder that is there."""
    path = path.resolve()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _profiles(document: dict[str, Any]) -> Profiles:
    _refuse_unknown(document, {"current", "profiles"}, "")
    named = {name: _profile(name, body) for name, body in _table(document.get("profiles", {}), "profiles").items()}
    current = document.get("current")
    if current is not None and not isinstance(current, str):
        raise ValueError("current must be text")
    if current is not None and current not in named:
        raise ValueError(f"current: there is no profile {current!r}")
    return Profiles(current, named)


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
    """A misspelt `server` would send the call, and the credentials, elsewhere."""
    for name in table:
        if name not in known:
            raise ValueError(f"{path}{name} is unknown here; there are {', '.join(sorted(known))}")


def _toml(profiles: Profiles) -> str:
    """Only tables of text are ever written."""
    texts = [f"current = {_quoted(profiles.current)}"] if profiles.current else []
    for name, profile in profiles.named.items():
        texts += ["", f"[profiles.{_quoted(name)}]"]
        values = {each.name: getattr(profile, each.name) for each in fields(profile)}
        texts += [f"{setting} = {_quoted(value)}" for setting, value in values.items() if value]
    return "\n".join(texts) + "\n"


def _quoted(text: str) -> str:
    safe = (f"\\u{ord(each):04X}" if ord(each) < 0x20 or ord(each) == 0x7F or each in '"\\' else each for each in text)
    return f'"{"".join(safe)}"'


def profile_names(incomplete: str) -> list[str]:
    """Completion of a profile's name; nothing where the file cannot be read."""
    try:
        named = read_profiles(profile_path(os.environ)).named
    except Exception:  # noqa: BLE001 - nothing may be said while somebody types
        return []
    return [name for name in named if name.startswith(incomplete)]
