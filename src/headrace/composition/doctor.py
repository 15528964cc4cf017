"""Checks of a server's surroundings: settings, services, journal, broker, clock, limits and authentication.

Each check is harmless (it reads, and changes nothing) and bounded in time. A check returns findings and raises no
error for them.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
import structlog

from headrace.clock import Clock
from headrace.composition.brokers import broker_of
from headrace.composition.findings import Finding, Status
from headrace.composition.startup import about_unknown_variable, targets, webhook_endpoints
from headrace.effects.port import Downstream, NoResponse, Request, Response
from headrace.errors import HeadraceError, InvalidValue
from headrace.journal.sqlite.inspection import inspect_journal
from headrace.settings import Settings, unknown_variables
from headrace.telemetry.tracing import MISSING, is_wanted
from headrace.workflows.activities import Service

log = structlog.get_logger("headrace")

QUESTIONS: dict[Service, str] = {
    "ledger": "/v2?pageSize=1",
    "wallets": "/wallets?pageSize=1",
    "payments": "/payments?pageSize=1",
}
"""One read of each service that needs the scope of its ordinary reads."""
INFO_PATHS = ("/_info", "/v2/_info")
TIMEOUT_S = 10.0
SKEW_S, FAR_SKEW_S = 5.0, 60.0
LOW_DISK_BYTES, FULL_DISK_BYTES = 1 << 30, 64 << 20
POOL_OF_2_4 = 20


async def examine(settings: Settings, environ: Mapping[str, str], data: Path, clock: Clock) -> list[Finding]:
    """Run every check. Returns the findings in the order of the checks."""
    from headrace.composition.services import downstream_of

    findings = [*check_settings(environ), *await check_authentication(settings, data, clock)]
    if settings.database_url is None:
        findings += check_journal(data)
    else:
        from headrace.composition.doctor_database import check_database

        findings += await check_database(settings.database_url, clock)
    if settings.engine == "temporal":
        from headrace.composition.doctor_temporal import check_temporal

        findings += await check_temporal(settings, clock)
    try:
        downstream = downstream_of(settings, clock, timeout_s=min(settings.timeout_s, TIMEOUT_S))
    except InvalidValue as error:
        findings.append(Finding("services", "failed", str(error)))
    else:
        try:
            findings += await check_services(downstream, settings, clock)
        finally:
            await downstream.close()
    findings += [*await check_broker(settings), *check_webhooks(settings, environ)]
    return [*findings, *check_traces(settings, environ)]


def check_settings(environ: Mapping[str, str]) -> list[Finding]:
    unknown = unknown_variables(environ).items()
    if unknown:
        return [Finding("settings", "warning", about_unknown_variable(*each)) for each in unknown]
    return [Finding("settings", "ok", "every HEADRACE_ variable is known and can be read")]


# services


async def warn_of_services(downstream: Downstream, settings: Settings, clock: Clock) -> None:
    """Log what is wrong with the services at the start of a server."""
    for finding in await check_services(downstream, settings, clock):
        if finding.status != "ok":
            hint = {"hint": finding.hint} if finding.hint else {}
            log.warning("check of services", check=finding.check, found=finding.text, **hint)


async def check_services(downstream: Downstream, settings: Settings, clock: Clock) -> list[Finding]:
    """Reach and authorization of each service, then the clocks and limits against what they answer."""
    services: tuple[Service, ...] = get_args(Service)
    asked = await asyncio.gather(*(_ask(downstream, service, settings, clock) for service in services))
    findings = [each.finding for each in asked]

    skew_s = max((each.skew_s for each in asked if each.skew_s is not None), key=abs, default=None)
    if skew_s is not None and abs(skew_s) <= SKEW_S:
        findings.append(Finding("clock", "ok", f"within {SKEW_S:g} s of the services' clocks"))
    elif skew_s is not None:
        direction = "ahead of" if skew_s > 0 else "behind"
        text = f"this machine's clock is {abs(skew_s):.0f} s {direction} a service's"
        status: Status = "failed" if abs(skew_s) > FAR_SKEW_S else "warning"
        findings.append(Finding("clock", status, text, "Synchronize both (NTP)."))

    if findings[services.index("ledger")].status == "ok":
        findings.append(check_limits(await _version(downstream), settings))
    return findings


@dataclass(frozen=True, slots=True)
class _Asked:
    finding: Finding
    skew_s: float | None = None


async def _ask(downstream: Downstream, service: Service, settings: Settings, clock: Clock) -> _Asked:
    root = targets(settings)[service]
    started_s = clock.monotonic_s()
    try:
        response = await downstream.send(Request(service, "GET", QUESTIONS[service]))
    except NoResponse as failure:
        reason = str(failure).removeprefix(f"{service}: ")
        variable = f"HEADRACE_{service.upper()}_URL"
        hint = f"Is it running, and is {variable} or HEADRACE_STACK_URL right?"
        if root == "none":
            hint = "This is about `headrace serve`; `headrace dev` brings a sandbox of all three services."
        return _Asked(Finding(service, "failed", reason if root == "none" else f"{root}: {reason}", hint))
    took_ms = round((clock.monotonic_s() - started_s) * 1e3)
    return _Asked(_judge(service, root, response, took_ms), _skew_s(response, clock.now_at()))


def _judge(service: Service, root: str, response: Response, took_ms: int) -> Finding:
    if response.status in (401, 403):
        hint = (
            "Set HEADRACE_STACK_CLIENT_ID and HEADRACE_STACK_CLIENT_SECRET to a client "
            f"that may read and write {service}."
        )
        return Finding(service, "failed", f"{root} refuses the credentials (HTTP {response.status})", hint)
    if response.status == 404:
        return Finding(
            service, "failed", f"{root} has no such service (HTTP 404)", "Is this address the service's root?"
        )
    if not 200 <= response.status < 300:
        return Finding(service, "failed", f"{root} answers HTTP {response.status}", "Check the log of that service.")
    if not isinstance(_member(response, "cursor"), dict):
        hint = "Is a proxy or another service at this address?"
        return Finding(service, "failed", f"{root} answers, but not as {service} does", hint)
    return Finding(service, "ok", f"{root} answers and accepts the credentials ({took_ms} ms)")


async def _version(downstream: Downstream) -> str:
    """The ledger's version as it names it itself; "" where it does not."""
    for path in INFO_PATHS:
        try:
            response = await downstream.send(Request("ledger", "GET", path))
        except NoResponse:
            continue
        version = _member(response, "version")
        if response.status == 200 and isinstance(version, str) and len(version) <= 64:
            return version
    return ""


def check_limits(version: str, settings: Settings) -> Finding:
    """A 2.4 ledger needs two connections for a transaction: with as many writes as its pool has, it stands still."""
    found = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})", version)
    if found is None:
        return Finding("limits", "ok", f"the ledger's version is not known ({version or 'it does not name one'})")
    if (int(found[1]), int(found[2])) >= (2, 4) and settings.concurrency >= POOL_OF_2_4:
        return Finding(
            "limits",
            "warning",
            f"HEADRACE_CONCURRENCY={settings.concurrency} writes at once can stop a ledger {version} whose connection "
            f"pool has its default size of {POOL_OF_2_4}",
            f"Set HEADRACE_CONCURRENCY={POOL_OF_2_4 - 1}, or give the ledger more than twice as many connections.",
        )
    return Finding("limits", "ok", f"HEADRACE_CONCURRENCY={settings.concurrency} suits a ledger {version}")


def _skew_s(response: Response, now_at: int) -> float | None:
    """How far this clock is ahead. A `Date` has whole seconds, so half a second is added to it."""
    try:
        sent = parsedate_to_datetime(response.headers["date"]).timestamp() + 0.5
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return now_at / 1e6 - sent


def _member(response: Response, name: str) -> object:
    try:
        body: Any = msgspec.json.decode(response.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", body).get(name) if isinstance(body, dict) else None


# the journal


def check_journal(data: Path) -> list[Finding]:
    """Check the journal and its folder."""
    folder = next(each for each in (data.absolute(), *data.absolute().parents) if each.exists())
    free = shutil.disk_usage(folder).free
    size = f"{free / (1 << 30):.1f} GiB" if free >= 1 << 30 else f"{free >> 20} MiB"
    if free >= LOW_DISK_BYTES:
        findings = [Finding("disk", "ok", f"{size} free at {folder}")]
    else:
        status: Status = "failed" if free < FULL_DISK_BYTES else "warning"
        findings = [
            Finding("disk", status, f"only {size} free at {folder}", "Free some space: a full disk stops all runs.")
        ]
    if data.exists() and data.stat().st_mode & 0o077:
        text = f"other users of this machine may enter {data}, which holds accounts and amounts"
        findings.append(Finding("disk", "warning", text, f"chmod 700 {data}"))
    return [_check_journal_file(data / "journal.db"), *findings]


def _check_journal_file(path: Path) -> Finding:
    state = inspect_journal(path)
    if not state.exists:
        return Finding("journal", "ok", f"{path} does not exist; the first start makes it")
    if state.problem and state.owner is not None and not state.is_damaged:
        return Finding("journal", "ok", f"{path}: in use by process {state.owner}")
    if state.problem:
        hint = "Do not delete it: it records all payments. Check the disk, then read docs/how-to/backup.md."
        what = "is damaged" if state.is_damaged else "cannot be read"
        return Finding("journal", "failed", f"{path} {what}: {state.problem}", hint)
    if state.is_newer:
        return Finding(
            "journal",
            "failed",
            f"{path} has schema {state.revision}, which this release does not know",
            "A newer Headrace wrote it: start that one.",
        )
    if state.closed:
        return Finding("journal", "failed", f"{path} is closed: {state.closed}")
    schema = f"schema {state.revision}" if state.is_current else f"schema {state.revision}, migrated at the next start"
    use = f"in use by process {state.owner}" if state.owner else "not in use"
    return Finding("journal", "ok", f"{path}: {schema}, {use}")


# the broker and webhooks


async def check_broker(settings: Settings) -> list[Finding]:
    """Check that the broker accepts a connection with these settings."""
    if settings.broker_url is None:
        return []
    from headrace.buses.port import BusUnavailable

    try:
        async with asyncio.timeout(2 * TIMEOUT_S):
            text = await broker_of(settings.broker_url).ask(settings)
    except (BusUnavailable, InvalidValue) as error:
        return [Finding("broker", "failed", str(error), "Runs go on; events wait until the broker can be reached.")]
    except TimeoutError:
        return [Finding("broker", "failed", f"{settings.broker_url} does not answer", "Is HEADRACE_BROKER_URL right?")]
    return [Finding("broker", "ok", text)]


def check_webhooks(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    if settings.webhooks is None:
        return []
    try:
        endpoints = webhook_endpoints(settings.webhooks, environ)
    except (HeadraceError, OSError) as error:
        return [Finding("webhooks", "failed", str(error))]
    return [Finding("webhooks", "ok", f"{len(endpoints)} endpoints in {settings.webhooks}")]


# traces


def check_traces(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    if not is_wanted(settings, environ):
        return []
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        status: Status = "failed" if settings.traces_url is not None else "warning"
        return [Finding("traces", status, MISSING)]
    return [Finding("traces", "ok", f"sent to {settings.traces_url or 'the collector that OTEL_ variables name'}")]


# authentication


async def check_authentication(settings: Settings, data: Path, clock: Clock) -> list[Finding]:
    match settings.auth:
        case None:
            hint = "`--auth local` or HEADRACE_AUTH; `none` only on a loopback address."
            return [Finding("authentication", "warning", "HEADRACE_AUTH is not set: `serve` does not start", hint)]
        case "none":
            return [Finding("authentication", "warning", "none: everyone who can reach the port may move money")]
        case "local":
            return _check_clients(settings, data)
        case _:
            return await _check_issuer(settings, clock)


def _check_clients(settings: Settings, data: Path) -> list[Finding]:
    from headrace.auth.developer import CLIENT_ID
    from headrace.composition.authentication import client_store

    try:
        clients = client_store(settings, data).read()
    except (HeadraceError, OSError) as error:
        return [Finding("authentication", "failed", str(error))]
    if not clients:
        text = "local, and there is no client: every request is refused"
        return [Finding("authentication", "warning", text, "headrace clients create NAME")]
    if CLIENT_ID in clients:
        text = f"local; the client {CLIENT_ID} of `headrace dev --auth` is accepted, and its secret was printed"
        return [Finding("authentication", "warning", text, f"headrace clients delete {CLIENT_ID}")]
    return [Finding("authentication", "ok", f"local, clients: {len(clients)}")]


async def _check_issuer(settings: Settings, clock: Clock) -> list[Finding]:
    from headrace.auth.fetching import Fetcher, FetchFailed
    from headrace.auth.keyring import RemoteKeyring
    from headrace.auth.keys import BadKeys

    issuer, fetcher = settings.issuer or "", Fetcher()
    keyring = RemoteKeyring(issuer, fetcher, clock, allow_plain=settings.allow_plain_issuer, on_close=fetcher.close)
    try:
        keys = await keyring.check()
    except (FetchFailed, BadKeys) as error:
        hint = "Tokens cannot be verified until the issuer's keys can be fetched."
        return [Finding("authentication", "failed", f"{issuer}: {error}", hint)]
    finally:
        await keyring.close()
    if settings.audience is None:
        text = f"tokens of {issuer} for any audience are accepted"
        return [Finding("authentication", "warning", text, "Set HEADRACE_AUDIENCE to the name of this server.")]
    return [Finding("authentication", "ok", f"tokens of {issuer} for {settings.audience}; keys: {keys}")]
