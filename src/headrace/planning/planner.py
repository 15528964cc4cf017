"""Plans a run: drives the stages of a workflow as an instance would, over the shadow instead of the books.

A stage yields the same commands as in a run. A read is answered from the shadow; an effect is prepared, added to the
plan and booked in the shadow; a wait is an assumption, after which time has passed. What a stage is sent therefore
equals what it would be sent if nothing but this run happened from now on, and so do the effects that it yields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never, cast

from headrace.effects.earlier import EarlierEffect
from headrace.effects.port import Found, FoundOther, Refused
from headrace.effects.services import ASKED_FOR, prepare
from headrace.errors import InvalidValue, TooLarge
from headrace.money import WORLD, posting
from headrace.planning.commitments import Commitment, commitment_of, placeholder
from headrace.planning.document import Draft, Kind
from headrace.planning.questions import Asking, search
from headrace.planning.shadow import Change, Shadow, wallet_account
from headrace.workflows.activities import (
    Activity,
    AddAccountMetadata,
    CreateTransaction,
    CreateTransferInitiation,
    CreditWallet,
    DebitWallet,
    Json,
)
from headrace.workflows.activity import check_complete, effect_names
from headrace.workflows.commands import Amend, SleepUntil, WaitApproval, WaitEvent
from headrace.workflows.decisions import Passed, Verdict, decide
from headrace.workflows.durations import moment_text
from headrace.workflows.interpreter import StageRunner
from headrace.workflows.reversals import (
    AwaitReversal,
    GetTransaction,
    RejectTransferInitiation,
    ReverseTransferInitiation,
    RevertTransaction,
)

MAX_READS = 5_000
"""The questions that one plan may ask."""
MAX_STEPS = 400_000
"""The work of all conditions in one plan, which is made without a pause: 0.2 to 2 seconds."""
NEEDS_SAME_BYTES, NO_LONGER_FITS = "needs_same_bytes", "no_longer_fits"
"""Codes of the failure of a plan that continues a case."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The beginning of a plan that continues an instance. `position`: of the activity in that stage that ended it.

    `earlier`: by ordinal, the effects of that stage, as earlier instances of the case left them. `is_at_gate`: the
    instance runs, and waits for approvals before it begins this stage. `before`: the stages before, as conditions see
    them. `decided`: what the condition of this stage has said; None: it has none, or is still to be asked.
    """

    instance_id: str
    root_id: str
    stage: int
    position: int
    earlier: Mapping[int, EarlierEffect]
    is_at_gate: bool = False
    before: Sequence[Passed] = ()
    decided: bool | None = None


@dataclass(frozen=True, slots=True)
class Undone:
    """The instance whose case a plan undoes, and the last stage and position that its history shows."""

    instance_id: str
    stage: int
    position: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A run that is to be planned. `definition` is that of a workflow, checked; `variables` are complete.

    `beginning`: of a continuation; `undone`: of an undo, whose `definition` is computed.
    """

    definition: Json
    variables: dict[str, str]
    origin: Literal["caller", "trigger"] = "caller"
    beginning: Beginning | None = None
    undone: Undone | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms under which it would run, as the server's `Policy` has them for its origin."""

    planned_at: int
    may_name_world: bool = True
    schemas: Mapping[str, str] = field(default_factory=dict[str, str])


def plan(subject: Subject, terms: Terms, shadow: Shadow | None = None) -> Asking[Json]:
    """Plan a run, to its document (see `document.Draft`). A failure that can be foreseen is part of the document.

    `shadow`: that of earlier plans, if this run is to come after theirs. The caller keeps or drops what is planned.

    Raises TooLarge, and Silent where a service does not answer.
    """
    planning = _Planner(subject, terms, Shadow() if shadow is None else shadow).run()
    reads = 0
    answer: Any = None
    while True:
        try:
            question = planning.send(answer)
        except StopIteration as ended:
            return ended.value
        reads += 1
        if reads > MAX_READS:
            raise TooLarge("plan", f"needs more than {MAX_READS:,} reads")
        answer = yield question


class _Ended(Exception):
    """The plan ends here: a run would fail."""


class _Planner:
    """One plan that is being made."""

    __slots__ = ("_draft", "_now_at", "_shadow", "_stage", "_subject", "_terms")

    def __init__(self, subject: Subject, terms: Terms, shadow: Shadow) -> None:
        self._subject = subject
        self._terms = terms
        self._draft = Draft(subject.definition, subject.variables, subject.origin, terms.planned_at)
        if (begins := subject.beginning or subject.undone) is not None:
            at = {"instance": begins.instance_id, "stage": begins.stage, "position": begins.position}
            self._draft.beginning = at
        self._shadow = shadow
        self._now_at = terms.planned_at
        self._stage: StageRunner

    def run(self) -> Asking[Json]:
        stages = self._subject.definition["stages"]
        try:
            begins, variables = self._subject.beginning, self._subject.variables
            first = 0 if begins is None else begins.stage
            before: list[Passed] = [] if begins is None else list(begins.before)
            steps = 0
            for number in range(first, len(stages)):
                decided = None if begins is None or number > first else begins.decided
                verdict = decide(stages[number], variables, before) if decided is None else Verdict(decided)
                steps += verdict.steps
                if steps > MAX_STEPS:
                    raise TooLarge("plan", f"its conditions take more than {MAX_STEPS:,} steps together")
                self._stage = StageRunner(
                    stages,
                    number,
                    variables,
                    self._now_at,
                    may_name_world=self._terms.may_name_world,
                    verdict=verdict,
                )
                yield from self._run_stage()
                before.append(self._stage.passed())
        except _Ended:
            pass
        return self._draft.document()

    def _run_stage(self) -> Asking[None]:
        stage = self._stage
        while (command := stage.command) is not None:
            match command:
                case SleepUntil(deadline_at):
                    if deadline_at > self._now_at:
                        self._draft.assume(stage.number, "delay", until=moment_text(deadline_at))
                        self._now_at = deadline_at
                    stage.resume()
                case WaitEvent(event):
                    more = {name: stage.input[name] for name in ("timeout", "on_timeout") if name in stage.input}
                    self._draft.assume(stage.number, "event", event=event, **more)
                    stage.resume()
                case WaitApproval():
                    self._assume_approval(command)
                    stage.resume()
                case Activity():
                    yield from self._perform(command)
                case Amend():
                    stage.resume()
                case _:
                    assert_never(command)
        if stage.error is not None:
            raise self._failure("invalid", stage.error)
        if stage.is_skipped:
            self._draft.skipped.append(stage.number)
        elif stage.keyword == "send":
            amount = stage.input["amount"]
            self._draft.totals[amount["asset"]]["sent"] += amount["amount"]

    def _assume_approval(self, wanted: WaitApproval) -> None:
        """A run asks for approvals here, unless the plan itself is what is approved."""
        stage, begins = self._stage, self._subject.beginning
        if begins is not None and begins.is_at_gate and begins.stage == stage.number:
            return
        more = {name: stage.input[name] for name in ("title", "timeout") if name in stage.input}
        self._draft.assume(stage.number, "approval", approvals=wanted.approvals, **more)

    def _perform(self, activity: Activity) -> Asking[None]:
        try:
            if activity.is_effect:
                done = self._done_before(activity)
                if done is not None:
                    self._stage.resume(done.output)
                    return
                yield from self._plan_effect(activity)
                self._stage.resume()
                self._stage.booked.clear()  # nothing is booked: an error must not say so
            else:
                self._stage.resume((yield from self._read(activity)))
        except InvalidValue as error:
            if isinstance(error, TooLarge):
                raise
            raise self._failure("invalid", f"{activity.name}: {error}") from None

    def _read(self, activity: Activity) -> Asking[Any]:
        """The output of a read, as a run would store it."""
        reading = yield from self._shadow.read(activity)
        if isinstance(reading.outcome, Refused):
            raise self._refusal(activity, reading.outcome)
        output = reading.outcome.output
        if isinstance(activity, AwaitReversal):  # an assumption of its effect, not of a read
            return output
        value: Json = output.get("data", output.get("cursor", output))
        self._draft.assume(
            self._stage.number,
            "read",
            activity=activity.name,
            input=activity.input(""),
            value={name: member for name, member in value.items() if name not in _UNUSED},
            readAt=moment_text(reading.at),
        )
        return output

    # effects

    def _done_before(self, effect: Activity) -> EarlierEffect | None:
        """The effect as an earlier instance of the case has done it; None where this plan has to send it."""
        begins, stage = self._subject.beginning, self._stage
        if begins is None or begins.stage != stage.number or (found := begins.earlier.get(stage.ordinal)) is None:
            return None
        key = f"headrace:{begins.root_id}:{stage.number}:{stage.ordinal}"
        request = prepare(effect, key, self._now_at, self._terms.schemas)
        if objection := found.objection(effect, request):
            code = NO_LONGER_FITS if found.is_done else NEEDS_SAME_BYTES
            raise self._failure("plan", f"{effect.name}: {objection}", code=code)
        return found if found.is_done else None

    def _plan_effect(self, effect: Activity) -> Asking[None]:
        commitment = commitment_of(effect, self._stage.number, self._stage.ordinal, self._terms.schemas)
        planned = len(self._draft.effects)
        try:
            yield from EFFECTS[effect.name](self, effect, commitment)
        except _Ended:
            assert len(self._draft.effects) == planned
            self._draft.add_effect(commitment, reversible="kept", postings=[], balances=[])  # a run would send it
            raise

    def create_transaction(self, effect: CreateTransaction, commitment: Commitment) -> Asking[None]:
        """Book a transaction in the shadow; an ingestion only where it does not stand already."""
        if effect.payment_id is None:
            yield from self._book(effect, commitment, "revert")
        else:
            yield from self._ingest(effect, commitment)

    def add_metadata(self, effect: AddAccountMetadata, commitment: Commitment) -> Asking[None]:
        """Write metadata to the shadow, for the reads of later stages."""
        refused = yield from self._shadow.add_metadata(effect)
        if refused is not None:
            raise self._refusal(effect, refused)
        self._draft.add_effect(commitment, reversible="kept", postings=[], balances=[])

    def initiate(self, effect: CreateTransferInitiation, commitment: Commitment) -> Asking[None]:
        """Add a payout or transfer. It moves nothing on a ledger."""
        reversible = "reject" if effect.waiting_validation else "kept"
        self._draft.add_effect(commitment, reversible=reversible, postings=[], balances=[])
        self._draft.totals[effect.asset]["externalOut"] += effect.amount
        yield from ()

    def revert(self, effect: RevertTransaction, commitment: Commitment) -> Asking[None]:
        """Plan the reverse postings of a transaction, the last one first. The stage has read that it stands."""
        reading = yield from self._shadow.read(GetTransaction(effect.id, effect.ledger))
        if isinstance(reading.outcome, Refused):
            raise self._refusal(effect, reading.outcome)
        changes: list[Change] = []
        for each in reversed(reading.outcome.output["data"]["postings"]):
            backwards = posting(each["destination"], each["source"], each["amount"], each["asset"])
            refused = yield from self._shadow.open_ends(effect.ledger, backwards, creates=False)
            if refused is not None:
                raise self._refusal(effect, refused)
            changes.append(self._shadow.move(effect.ledger, backwards, is_unbounded=effect.force))
        self._add(effect, commitment, "kept", changes)

    def reject(self, effect: RejectTransferInitiation, commitment: Commitment) -> Asking[None]:
        """Plan the rejection of a payout that waits for validation: nothing has left."""
        self._shadow.set_status(effect.id, "REJECTED")
        self._draft.add_effect(commitment, reversible="kept", postings=[], balances=[])
        yield from ()

    def reverse(self, effect: ReverseTransferInitiation, commitment: Commitment) -> Asking[None]:
        """Plan the reversal of a paid payout, and assume that the provider carries it out."""
        self._shadow.set_status(effect.id, "REVERSED")
        self._draft.add_effect(commitment, reversible="kept", postings=[], balances=[])
        self._draft.assume(commitment.stage, "reversal", initiation=effect.id)
        self._draft.totals[effect.asset]["externalIn"] += effect.amount
        yield from ()

    def _book(self, effect: CreateTransaction, commitment: Commitment, reversible: str) -> Asking[None]:
        refused = yield from self._shadow.open_ends(effect.ledger, effect.posting, creates=True)
        if refused is not None:
            raise self._refusal(effect, refused)
        change = self._shadow.move(effect.ledger, effect.posting, is_unbounded=effect.allow_overdraft)
        self._add(effect, commitment, reversible, [change])

    def _ingest(self, effect: CreateTransaction, commitment: Commitment) -> Asking[None]:
        """A payment is booked once per ledger: an earlier run, or an earlier stage of this plan, may have done it."""
        request = prepare(effect, placeholder(commitment.stage, commitment.ordinal), 0, self._terms.schemas)
        reference, stands = effect.reference(""), False
        known = self._shadow.ingested(effect.ledger, reference)
        if known is None:
            found = yield from search(effect.name, request)
            if isinstance(found, FoundOther):
                raise self._failure("conflict", f"{effect.name}: CONFLICT: {found.message}", code="CONFLICT")
            stands = isinstance(found, Found)
        elif known != effect.posting:
            text = f"reference {reference} belongs to a transaction of this plan, which has other postings"
            raise self._failure("conflict", f"{effect.name}: CONFLICT: {text}", code="CONFLICT")
        self._draft.assume(
            commitment.stage,
            "ingestion",
            ordinal=commitment.ordinal,
            payment=effect.payment_id,
            ledger=effect.ledger,
            stands=stands or known is not None,
        )
        self._shadow.ingest(effect.ledger, reference, effect.posting)
        if stands or known is not None:
            self._draft.add_effect(commitment, reversible="kept", stands=True, postings=[], balances=[])
            return
        yield from self._book(effect, commitment, "kept")
        self._draft.totals[effect.posting["asset"]]["externalIn"] += effect.posting["amount"]

    def move_wallet(self, effect: CreditWallet | DebitWallet, commitment: Commitment) -> Asking[None]:
        """Plan a credit or debit: the wallets service books it on the wallet's ledger."""
        wallet = yield from self._shadow.wallet(effect.id)
        if isinstance(wallet, Refused):
            raise self._refusal(effect, wallet)
        if isinstance(effect, CreditWallet):
            sources: list[str] = []
            for subject in effect.sources:
                sources += [(yield from self._subject_account(effect, wallet, subject))]
            destination = wallet_account(wallet["id"], effect.balance)
            yield from self._shadow.open_balance(wallet["ledger"], destination)
        else:
            sources = [wallet_account(wallet["id"], balance) for balance in effect.balances]
            for source in sources:
                yield from self._shadow.open_balance(wallet["ledger"], source)
            destination = yield from self._subject_account(effect, wallet, effect.destination)

        # As the service does it: the sources give in order, each as far as its balance goes.
        changes: list[Change] = []
        missing, ledger = effect.amount, wallet["ledger"]
        for source in dict.fromkeys(sources or [WORLD]):
            has_all = source == WORLD or source == (sources or [WORLD])[-1]
            part = missing if has_all else min(missing, max(self._shadow.available(ledger, source, effect.asset), 0))
            if part or (has_all and not changes):
                changes.append(self._shadow.move(ledger, posting(source, destination, part, effect.asset)))
                missing -= part
        self._add(effect, commitment, "revert", changes)

    def _subject_account(self, effect: Activity, wallet: Json, subject: Json | None) -> Asking[str]:
        """The account behind the other side of a credit or debit, which is on the wallet's ledger."""
        if subject is None:
            return WORLD
        if subject["type"] == "WALLET":
            other = yield from self._shadow.wallet(subject["identifier"])
            if isinstance(other, Refused):
                raise self._refusal(effect, other)
            address = wallet_account(other["id"], subject.get("balance", "main"))
        else:
            address = cast("str", subject["identifier"])
        yield from self._shadow.open_balance(wallet["ledger"], address)
        return address

    def _add(self, effect: Activity, commitment: Commitment, reversible: str, changes: list[Change]) -> None:
        """Add an effect with its postings; one that lacks funds is the plan's failure, and not its end."""
        missing = [change for change in changes if change.missing]
        self._draft.add_effect(
            commitment,
            reversible=reversible,
            postings=[{"ledger": change.ledger, **change.posting} for change in changes],
            balances=[balance for change in changes for balance in change.balances],
            **({"missing": sum(change.missing for change in missing)} if missing else {}),
        )
        for change in missing[:1]:
            short = {
                "ledger": change.ledger,
                "account": change.posting["source"],
                "asset": change.posting["asset"],
                "missing": change.missing,
            }
            request = prepare(effect, placeholder(commitment.stage, commitment.ordinal), 0, self._terms.schemas)
            why = ASKED_FOR[request.service](request, "INSUFFICIENT_FUND")
            self._note("refused", f"{effect.name}: INSUFFICIENT_FUND: {why}", {"code": "INSUFFICIENT_FUND", **short})

    # failures

    def _refusal(self, activity: Activity, refused: Refused) -> _Ended:
        return self._failure("refused", f"{activity.name}: {refused.code}: {refused.message}", code=refused.code)

    def _failure(self, kind: Kind, error: str, **members: Any) -> _Ended:
        self._note(kind, error, members, is_end=True)
        return _Ended()

    def _note(self, kind: Kind, error: str, members: Json, *, is_end: bool = False) -> None:
        place = {"stage": self._stage.number, "ordinal": self._stage.ordinal}
        self._draft.fail({**place, "kind": kind, **members, "error": error}, is_end=is_end)


EFFECTS: dict[str, Callable[[_Planner, Any, Commitment], Asking[None]]] = {
    "CreateTransaction": _Planner.create_transaction,
    "AddAccountMetadata": _Planner.add_metadata,
    "CreditWallet": _Planner.move_wallet,
    "DebitWallet": _Planner.move_wallet,
    "CreateTransferInitiation": _Planner.initiate,
    "RevertTransaction": _Planner.revert,
    "RejectTransferInitiation": _Planner.reject,
    "ReverseTransferInitiation": _Planner.reverse,
}
"""By the name of an effect, how it is planned."""
check_complete(EFFECTS, effect_names(), "plan", "to EFFECTS")

_UNUSED = ("raw", "adjustments")
"""Members of a payment that no stage uses: the provider's own record, which may hold what a plan should not show."""
