"""Matching of events to triggers by name and version; the filter is evaluated later."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from typing import cast

from headrace.effects.port import Request
from headrace.effects.services import prepare
from headrace.errors import InvalidValue
from headrace.events.envelope import Envelope
from headrace.journal.records import Trigger
from headrace.workflows.activities import AddAccountMetadata
from headrace.workflows.durations import moment_of

_EFFECT = re.compile(r"headrace:([0-9A-Za-z-]{1,64}):[0-9]+:[0-9]+")
_EFFECT_WITHIN = re.compile(_EFFECT.pattern.encode())
_ENCODED = re.compile(r"[0-9A-Za-z_-]{16,4096}={0,2}")
_INITIATION_IDS = ("paymentInitiationID", "paymentInitiationId", "transferInitiationID", "id")
MAX_CAUSES = 100
MAX_RAW_VALUES = 10_000
"""Values of a provider's raw data that are searched for a reference."""


def is_on(trigger: Trigger, envelope: Envelope) -> bool:
    """True if the trigger names the event's exact type, or `app.type` in any case, and its version if it names one."""
    is_named = trigger.event == envelope.type or trigger.event.lower() == envelope.qualified_type
    return is_named and (not trigger.version or is_same_version(trigger.version, envelope.version))


def is_same_version(wanted: str, given: str) -> bool:
    """Compare versions as far as the shorter one goes: `v2`, `2` and `2.0.0` are equal."""
    mine, theirs = _parts(wanted), _parts(given)
    return bool(theirs[0]) and all(one == other for one, other in zip(mine, theirs, strict=False))


def _parts(version: str) -> list[str]:
    return version.strip().lower().removeprefix("v").split(".")


def causes(envelope: Envelope) -> set[str]:
    """Ids of Headrace's instances that caused this event: of their transactions or initiations, or themselves."""
    found: set[str] = set()
    if envelope.app == "orchestration":
        found |= {value for name in ("instanceID", "workflowInstanceID") if (value := _text(envelope.payload, name))}
    listed = envelope.payload.get("transactions")
    items = cast("list[object]", listed)[:MAX_CAUSES] if isinstance(listed, list) else []
    transactions = [cast("dict[str, object]", item) for item in items if isinstance(item, dict)]
    for transaction in [envelope.payload, *transactions]:  # payments have one reference
        texts = (_text(transaction, "reference"), _text(transaction.get("metadata"), "headrace_effect"))
        found |= {match[1] for text in texts if (match := _EFFECT.fullmatch(text))}
    if envelope.app in ("payments", ""):
        found |= _causes_in_raw_data(envelope.payload.get("rawData"))
        ids = (_text(envelope.payload, name) for name in _INITIATION_IDS)
        found |= {cause for text in ids if (cause := _cause_within(text))}
    return found


def _causes_in_raw_data(raw: object) -> set[str]:
    """Instances whose initiations a provider's raw data mentions: many providers echo the reference of a payout.

    A payment has no other link to its initiation.
    """
    found: set[str] = set()
    pending = [raw]
    for _ in range(MAX_RAW_VALUES):
        if not pending or len(found) >= MAX_CAUSES:
            break
        value = pending.pop()
        if isinstance(value, dict):
            pending += cast("dict[str, object]", value).values()
        elif isinstance(value, list):
            pending += cast("list[object]", value)
        elif isinstance(value, str) and (match := _EFFECT.search(value)):
            found.add(match[1])
    return found


def _cause_within(identity: str) -> str:
    """Return the instance of an initiation: its id is base64url of a JSON text that contains Headrace's reference.

    Events about an initiation's status have no other reference. Empty for an initiation of another program.
    """
    if not _ENCODED.fullmatch(identity):
        return ""
    try:
        inner = urlsafe_b64decode(identity.rstrip("=") + "=" * (-len(identity.rstrip("=")) % 4))
    except ValueError:
        return ""
    match = _EFFECT_WITHIN.search(inner)
    return match[1].decode() if match else ""


def metadata_written(envelope: Envelope) -> Request | None:
    """The request of an instance that would have caused this event: metadata does not name its cause."""
    payload = envelope.payload
    if envelope.type != "SAVED_METADATA" or str(payload.get("targetType")).upper() != "ACCOUNT":
        return None
    ledger, address, metadata = (payload.get(name) for name in ("ledger", "targetId", "metadata"))
    if not (isinstance(ledger, str) and isinstance(address, str) and isinstance(metadata, dict)):
        return None
    try:
        return prepare(AddAccountMetadata(address, ledger, cast("dict[str, str]", metadata)), "any", 0)
    except InvalidValue:
        return None


def initiation_scheduled(envelope: Envelope) -> str | None:
    """Scheduled time of an initiation in Headrace's format: version 2 of its event has no reference."""
    if envelope.type != "SAVED_TRANSFER_INITIATION":
        return None
    try:
        return moment_of(envelope.payload.get("scheduledAt"))
    except InvalidValue:
        return None


def _text(value: object, name: str) -> str:
    member = cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None
    return member if isinstance(member, str) else ""
