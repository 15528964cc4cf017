"""`headrace profiles`: named servers and credentials, in a file that only its owner may read."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.connection import Connection, checked_server, checked_token
from headrace.cli.errors import USAGE, Failure
from headrace.cli.profile_file import (
    Profile,
    Profiles,
    change_profiles,
    checked_name,
    profile_names,
    profile_path,
    read_profiles,
)
from headrace.cli.registration import command, new_group
from headrace.cli.session import Printer, Session
from headrace.errors import InvalidValue

Json = dict[str, Any]

ASKED_FOR = "-"
MASK = "********"
"""The same mask for every secret, because a length is information too."""

group = new_group(
    "List, show, set, use and delete named servers with credentials.\n\n"
    "They are kept in the file HEADRACE_CONFIG, or headrace/config.toml in the user's folder of configuration. "
    "A profile's credentials are sent to the profile's own server only.\n\n"
    "A command takes each setting from the first of these that has it:\n\n"
    "\b\n"
    "1. its options: --server, or the profile of --profile NAME\n"
    "2. HEADRACE_SERVER; HEADRACE_TOKEN, or HEADRACE_CLIENT_ID and HEADRACE_CLIENT_SECRET\n"
    "3. the profile of HEADRACE_PROFILE, or else of `headrace profiles use`\n"
    "4. http://127.0.0.1:8484, without credentials"
)

ProfileName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the profile.", autocompletion=profile_names)]


@command(group, "list", "ls", "l")
def list_profiles(printer: Printer) -> None:
    """List the profiles; the one in use by default has a star."""
    profiles = read_profiles(_path())
    found = [
        {"name": name, "current": name == profiles.current, **_document(each)} for name, each in profiles.named.items()
    ]
    printer.show({"profiles": found}, lambda: _table(profiles))


@command(group, "show", "s")
def show(
    session: Session,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="[default: the settings in use]", autocompletion=profile_names),
    ] = None,
) -> None:
    """Show a profile, or the settings in use with their sources.

    Secrets are not shown.
    """
    if name is None:
        identity = session.connection.identity
        used: Json = {"server": session.connection.server, "serverFrom": session.connection.server_origin}
        if session.connection.profile is not None:
            used["profile"] = session.connection.profile
        if identity is not None:
            kept = Profile(None, identity.client_id, identity.client_secret, identity.token_url, identity.token)
            used |= {**_document(kept), "credentialsFrom": identity.origin}
        session.show({"connection": used}, lambda: display.fact_lines(_facts_in_use(session.connection)))
        return
    profile = read_profiles(_path()).get(name)
    session.show(
        {"profile": {"name": name, **_document(profile)}},
        lambda: display.fact_lines([("Name", name), *_facts(profile)]),
    )


@command(group, "set")
def set_profile(
    printer: Printer,
    name: ProfileName,
    server: Annotated[str | None, typer.Option("--server", metavar="URL", help="URL of the server.")] = None,
    client_id: Annotated[str | None, typer.Option("--client-id", metavar="ID", help="Client id of OAuth2.")] = None,
    client_secret: Annotated[
        str | None,
        typer.Option("--client-secret", metavar="SECRET|-", help="Client secret; - prompts, or reads standard input."),
    ] = None,
    token_url: Annotated[
        str | None,
        typer.Option("--token-url", metavar="URL", help="Token endpoint URL.  [default: the server's own]"),
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", metavar="TOKEN|-", help="Token, instead of a client's id and secret.")
    ] = None,
) -> None:
    """Create a profile, or change the given settings of one.

    An empty value removes a setting. Other users of this machine can see a secret on the command line, and the shell's
    history keeps it: give `-`. The secret may also come from HEADRACE_CLIENT_SECRET.
    """
    checked_name(name)
    if (client_secret, token) == (ASKED_FOR, ASKED_FOR):
        raise Failure("only one secret can be read from standard input", code=USAGE)
    given = {"server": server, "client_id": client_id, "token_url": token_url}
    given |= {"client_secret": _secret(client_secret, "client secret"), "token": _secret(token, "token")}

    def change(profiles: Profiles) -> Profiles:
        # A token replaces a client's credentials, and the reverse.
        changes = {each: _checked(each, value) for each, value in given.items() if value is not None}
        if changes.get("token") and any(changes.get(each) for each in ("client_id", "client_secret")):
            raise Failure("give either a token, or a client's id and secret", code=USAGE)
        if changes.get("token"):
            changes |= {"client_id": None, "client_secret": None, "token_url": None}
        elif changes.get("client_id") or changes.get("client_secret"):
            changes["token"] = None
        if not changes:
            raise Failure("nothing to set", code=USAGE, hint="headrace profiles set NAME --server URL")
        profile = replace(profiles.named.get(name, Profile()), **changes)
        return replace(profiles, named={**profiles.named, name: profile})

    before, after = change_profiles(path := _path(), change)
    printer.show({"profile": {"name": name, **_document(after.named[name])}}, lambda: _summary(name, before, path))


@command(group, "use")
def use(
    printer: Printer,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the profile.", autocompletion=profile_names)
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Use no profile by default.")] = False,
) -> None:
    """Choose the default profile."""
    if (name is None) is not none:
        raise Failure("give either the NAME of a profile, or --none", code=USAGE)

    def change(profiles: Profiles) -> Profiles:
        if name is not None:
            profiles.get(name)
        return replace(profiles, current=name)

    change_profiles(_path(), change)
    printer.show({"current": name}, f"Commands use profile {name}." if name else "Commands use no profile.")


@command(group, "delete", "del", "d")
def delete(printer: Printer, name: ProfileName) -> None:
    """Delete a profile."""

    def change(profiles: Profiles) -> Profiles:
        profiles.get(name)
        left = {each: profile for each, profile in profiles.named.items() if each != name}
        return Profiles(None if profiles.current == name else profiles.current, left)

    change_profiles(_path(), change)
    printer.show({"success": True, "profile": name}, f"Profile {name} deleted.")


def _path() -> Path:
    path = profile_path(os.environ)
    if path is None:
        raise Failure("there is no home folder to keep profiles in", code=USAGE, hint="Set HEADRACE_CONFIG to a file.")
    return path


def _secret(text: str | None, what: str) -> str | None:
    if text != ASKED_FOR:
        return text
    if sys.stdin.isatty():
        return typer.prompt(what.capitalize(), hide_input=True, err=True)
    secret = sys.stdin.readline().strip()
    if not secret:
        raise Failure(f"standard input holds no {what}", code=USAGE)
    return secret


def _checked(name: str, value: str) -> str | None:
    """Check one setting; an empty text becomes None. Raises InvalidValue."""
    option = "--" + name.replace("_", "-")
    if not value.isprintable() or value != value.strip():
        raise InvalidValue(option, "has blanks at its ends or unprintable characters")
    if name == "server" and value:
        return checked_server(value, option)
    if name == "token":
        return checked_token(value, option) or None
    if name == "token_url" and value and not value.startswith(("http://", "https://", "/")):
        raise InvalidValue(option, f"{value!r} is neither an http:// or https:// address nor a path")
    return value or None


def _summary(name: str, before: Profiles, path: Path) -> list[str]:
    done = "changed" if name in before.named else "made"
    hint = [] if before.current == name else [f"Use it with --profile {name}, or always: headrace profiles use {name}"]
    return [f"Profile {name} {done} in {path}", *hint]


def _document(profile: Profile) -> Json:
    values = {
        "server": profile.server,
        "clientId": profile.client_id,
        "clientSecret": _masked(profile.client_secret),
        "tokenUrl": profile.token_url,
        "token": _masked(profile.token),
    }
    return {name: value for name, value in values.items() if value}


def _masked(secret: str | None) -> str | None:
    return MASK if secret else None


def _facts(profile: Profile) -> list[tuple[str, str]]:
    names = {
        "server": "Server",
        "clientId": "Client ID",
        "clientSecret": "Client secret",
        "tokenUrl": "Token URL",
        "token": "Token",
    }
    return [(names[name], value) for name, value in _document(profile).items()]


def _table(profiles: Profiles) -> list[str]:
    if not profiles.named:
        return ["No profiles. Create one: headrace profiles set NAME --server URL"]
    rows = [
        ["*" if name == profiles.current else "", name, each.server or "", _credentials(each)]
        for name, each in profiles.named.items()
    ]
    return display.table_lines(["", "Name", "Server", "Credentials"], rows)


def _credentials(profile: Profile) -> str:
    if profile.token:
        return "a token"
    return f"client {profile.client_id}" if profile.client_id else "none"


def _facts_in_use(connection: Connection) -> list[tuple[str, str]]:
    identity = connection.identity
    facts = [("Profile", connection.profile or "none"), ("Server", f"{connection.server} ({connection.server_origin})")]
    if identity is None:
        kept_back = f"; those of profile {connection.profile} are for {connection.withheld_for} only"
        return [*facts, ("Credentials", f"none{kept_back if connection.withheld_for else ''}")]
    what = "a token" if identity.token else f"client {identity.client_id}"
    return [*facts, ("Credentials", f"{what} ({identity.origin})")]
