"""The parts that use cases work with, built once by the composition."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from headrace.auth.certificate_keys import CertificateKeys
from headrace.buses.port import Publisher
from headrace.clock import Clock, Ids
from headrace.effects.port import Downstream
from headrace.engine.port import Engine
from headrace.events.inbox import Inbox
from headrace.events.outbox import Outbox
from headrace.journal.port import Journal
from headrace.runner.runners import Runners
from headrace.triggers.expressions import Evaluator

COMPILATIONS = 2
PLANS = 4
CERTIFICATES = 2
PERIODS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """`downstream`: the services, for the reads of plans, certificates and evidence for decisions.

    `max_triggers`: triggers that may exist at once, deleted ones not counted.
    `patience_s`: for how long an abort is tried again while other processes move its instance on.
    `release`: that of this server, which its certificates name.
    `publishers`: where this server publishes its events, besides its own triggers.
    `compilations` bounds how many definitions of triggers are compiled at once, each on a thread; `plans` and
    `certificates`, how many of them read from the services at once; `periods`, how many certificates of periods do.
    """

    journal: Journal
    engine: Engine
    runners: Runners
    clock: Clock
    ids: Ids
    inbox: Inbox
    outbox: Outbox
    evaluator: Evaluator
    downstream: Downstream
    max_triggers: int
    patience_s: float
    certificate_keys: CertificateKeys
    release: str
    publishers: tuple[Publisher, ...] = ()
    compilations: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(COMPILATIONS))
    plans: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PLANS))
    certificates: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CERTIFICATES))
    periods: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PERIODS))
