"""Generated cases: run on a sandbox, cut after any effect, undone, and compared with what each effect had moved.

Nothing here shares code with `headrace.workflows.undo` beyond its types. What an effect moved is the difference of the
balances before and after it; so what an undo must leave is known without its rules.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

from headrace.clock import RandomIds
from headrace.effects.port import Done, Outcome, Refused, Request, Unknown
from headrace.effects.services import create_ledger, look_up, outcome, prepare
from headrace.effects.settlement import Backoff, EffectProtocol, LookUpFirst, NeedsAttention, Pause, Send
from headrace.errors import InvalidValue
from headrace.planning.planner import Subject, Terms, plan
from headrace.planning.questions import Answer
from headrace.sandbox import Sandbox
from headrace.workflows.activities import Activity, CreateTransaction
from headrace.workflows.interpreter import StageRunner
from headrace.workflows.reversals import AwaitReversal, GetTransferInitiation
from headrace.workflows.undo import Case, DoneEffect, External, Undo, undo_of

Json = dict[str, Any]
Balances = Counter[tuple[str, str]]
"""By ledger and account; all in one asset."""

ASSET = "USD/2"
LEDGERS = ("main", "other", "wallets-002", "orchestration-000-internal")
ACCOUNTS = ("a", "b", "c")
PENDING = ("VALIDATED", "PROCESSING", "ASK_RETRIED", "ASK_REVERSED", "REVERSE_PROCESSING")
START_AT = 1_714_557_600_000_000


class World:
    """A sandbox with funded accounts and wallets, on a clock of its own. `faults`: how often an answer is lost."""

    def __init__(self, draw: random.Random, *, faults: float = 0.0) -> None:
        self.draw = draw
        self.faults = faults
        self.now_s = 0.0
        self.sandbox = Sandbox(None, clock=self, ids=RandomIds(), seed=1)
        self.decides: dict[str, str] = {}
        """What the bank decides, by the path of an initiation on which it works."""
        self.sent: list[Request] = []
        for ledger in ("main", "other"):
            self.sandbox.handle(create_ledger(ledger))
            for account in ACCOUNTS:
                self.book(ledger, "world", account, 1_000)
        self.wallets = [self.post("wallets", "/wallets", {"name": name, "metadata": PAYEE})["id"] for name in "xy"]
        for wallet in self.wallets:
            self.post("wallets", f"/wallets/{wallet}/credit", {"amount": {"asset": ASSET, "amount": 500}})
        for account in ACCOUNTS:
            self.post("ledger", f"/v2/main/accounts/{account}/metadata", PAYEE)
        self.payments = [self.post("payments", "/payments", {**PAY_IN, "reference": str(n)})["id"] for n in range(2)]

    def now_at(self) -> int:
        return START_AT + int(self.now_s * 1e6)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.sandbox._store.close()  # pyright: ignore[reportPrivateUsage]

    def post(self, service: Any, path: str, body: Json) -> Any:
        response = self.sandbox.handle(Request(service, "POST", path, json.dumps(body).encode()))
        assert response.status < 300, response
        return json.loads(response.body).get("data") if response.body else None

    def book(self, ledger: str, source: str, destination: str, amount: int) -> None:
        posting = {"source": source, "destination": destination, "amount": amount, "asset": ASSET}
        self.post("ledger", f"/v2/{ledger}/transactions", {"metadata": {}, "postings": [posting]})

    def balances(self) -> Balances:
        """Those that are not zero."""
        found: Balances = Counter()
        for ledger in LEDGERS:
            response = self.sandbox.handle(
                Request("ledger", "GET", f"/v2/{ledger}/accounts?expand=volumes&pageSize=100")
            )
            cursor = json.loads(response.body).get("cursor", {"data": []})
            assert not cursor.get("hasMore")
            for account in cursor["data"]:
                if balance := account["volumes"].get(ASSET, {"balance": 0})["balance"]:
                    found[ledger, account["address"]] = balance
        return found

    def initiation(self, reference: str) -> Json:
        response = self.sandbox.handle(Request("payments", "GET", "/transfer-initiations?pageSize=100"))
        return next(item for item in json.loads(response.body)["cursor"]["data"] if item["reference"] == reference)

    def report(self, reference: str, status: str) -> None:
        """The bank reports a status."""
        self.post("payments", f"/transfer-initiations/{self.initiation(reference)['id']}/status", {"status": status})

    # one activity, as an engine performs it

    def perform(self, activity: Activity, key: str) -> Done | Refused | NeedsAttention:
        request = prepare(activity, key, self.now_at())
        ledger = activity.ledger if isinstance(activity, CreateTransaction) else ""
        protocol = EffectProtocol(
            activity.settlement, backoff=Backoff(1, 100, lambda: 1.0), settle_s=30, now_s=self.now_s, ledger=ledger
        )
        for _ in range(1_000):
            match protocol.action:
                case Send():
                    result = self._attempt(activity, request)
                    protocol.sent(result, self.now_s, self.now_s)
                    if isinstance(result, Unknown) and result.is_pending:
                        self._bank_goes_on(activity)
                case LookUpFirst():
                    protocol.looked_up(self._look_up(activity, request), self.now_s)
                case Pause(seconds=seconds):
                    self.now_s += seconds
                    protocol.paused()
                case Done() | Refused() | NeedsAttention() as ended:
                    return ended
                case _:
                    ledger_request = create_ledger(ledger)
                    protocol.created(outcome("CreateLedger", ledger_request, self.sandbox.handle(ledger_request)))
        raise AssertionError(f"{activity} does not end")

    def _attempt(self, activity: Activity, request: Request) -> Outcome:
        self.sent.append(request)
        if self.draw.random() < self.faults:
            if self.draw.random() < 0.5:
                self.sandbox.handle(request)  # carried out, and the answer is lost
            return Unknown("no answer")
        return outcome(activity.name, request, self.sandbox.handle(request))

    def _look_up(self, activity: Activity, request: Request) -> Any:
        search = look_up(activity.name, request)
        question = next(search)
        while True:
            try:
                question = search.send(self.sandbox.handle(question))
            except StopIteration as ended:
                return ended.value

    def _bank_goes_on(self, activity: Activity) -> None:
        assert isinstance(activity, GetTransferInitiation | AwaitReversal)
        status = "REVERSED" if isinstance(activity, AwaitReversal) else self.decides.pop(activity.id, "PROCESSED")
        self.post("payments", f"/transfer-initiations/{activity.id}/status", {"status": status})


PAYEE = {"formanceAccountID": "acct_1"}
PAY_IN = {
    "connectorID": "stripe",
    "createdAt": "2024-01-01T00:00:00Z",
    "amount": 300,
    "type": "PAY-IN",
    "status": "SUCCEEDED",
    "scheme": "visa",
    "asset": ASSET,
}


def generated_stages(draw: random.Random, world: World) -> list[Json]:
    """One to five stages. Some fail: an account may lack funds."""
    return [_stage(draw, world) for _ in range(draw.randint(1, 5))]


def _stage(draw: random.Random, world: World) -> Json:
    if draw.random() < 0.1:
        account = {"id": draw.choice(ACCOUNTS), "ledger": "main", "metadata": {"k": str(draw.randint(0, 9))}}
        return {"update": {"account": account}}
    source = draw.choice((_account, _account, _wallet, _payment))(draw, world)
    targets = [_account, _account, _wallet] if "payment" in source else [_account, _wallet, _payout]
    amount = {"asset": ASSET, "amount": draw.choice((10, 50, 300, 700))}
    return {"send": {"source": source, "destination": draw.choice(targets)(draw, world), "amount": amount}}


def _account(draw: random.Random, world: World) -> Json:
    account: Json = {"id": draw.choice(ACCOUNTS), "ledger": draw.choice(("main", "main", "other"))}
    if draw.random() < 0.3:
        account["throughAccount"] = draw.choice(("bridge", *ACCOUNTS))
    if draw.random() < 0.3:
        account["allowOverdraft"] = True
    return {"account": account}


def _wallet(draw: random.Random, world: World) -> Json:
    return {"wallet": {"id": draw.choice(world.wallets)}}


def _payment(draw: random.Random, world: World) -> Json:
    payment: Json = {"id": draw.choice(world.payments)}
    return {"payment": payment | ({"ledger": "main"} if draw.random() < 0.5 else {})}


def _payout(draw: random.Random, world: World) -> Json:
    return {"payment": {"psp": "stripe", "type": "PAYOUT", "waitingValidation": draw.random() < 0.5}}


@dataclass
class Ran:
    """What a run did: its effects, each with what it moved, and how it ended."""

    effects: list[DoneEffect] = field(default_factory=list[DoneEffect])
    moved: list[Balances] = field(default_factory=list[Balances])
    wallet_ledgers: dict[str, str] = field(default_factory=dict[str, str])
    error: str | None = None


def run(world: World, stages: list[Json], instance: str, *, cut: int = 1_000) -> Ran:
    """Run stages one after the other; stop once `cut` effects are done."""
    ran = Ran()
    before = world.balances()
    for number in range(len(stages)):
        stage = StageRunner(stages, number, {}, world.now_at())
        while stage.command is not None:
            stage.skip_amendments()
            activity = stage.command
            if activity is None:
                break
            assert isinstance(activity, Activity)
            key = f"headrace:{instance}:{number}:{stage.ordinal}" if activity.is_effect else ""
            try:
                ended = world.perform(activity, key)
            except InvalidValue as error:
                ended = Refused("INVALID", str(error))
            if not isinstance(ended, Done):
                ran.error = f"{activity.name}: {ended}"
                return ran
            if activity.name == "GetWallet":
                ran.wallet_ledgers[ended.output["data"]["id"]] = ended.output["data"]["ledger"]
            if activity.is_effect:
                after = world.balances()
                ran.moved.append(difference(after, before))
                before = after
                effect = DoneEffect(key, number, stage.ordinal, activity.name, activity.input(key), ended.output)
                ran.effects.append(effect)
                if len(ran.effects) == cut:
                    return ran
            stage.resume(ended.output)
        if stage.error is not None:
            ran.error = stage.error
            return ran
    return ran


def difference(after: Balances, before: Balances) -> Balances:
    found = Counter({place: after[place] - before[place] for place in {*after, *before}})
    return Counter({place: amount for place, amount in found.items() if amount})


@dataclass
class Report:
    """What a generated case was, for the sums at the end."""

    cuts: int = 0
    undone: int = 0
    kept: int = 0
    stopped: int = 0
    blocked: int = 0


def check_case(seed: int, *, faults: float = 0.0) -> Report:
    """Cut one case after each effect and undo it. Raises AssertionError where a balance is not restored (MS-7)."""
    report = Report()
    cut = 1
    while True:
        draw = random.Random(seed)
        world = World(draw, faults=faults)
        try:
            initial = world.balances()
            stages = generated_stages(draw, world)
            ran = run(world, stages, "case", cut=cut)
            if len(ran.effects) < cut:
                return report
            report.cuts += 1
            _undo(world, draw, stages, ran, initial, report, f"seed {seed}, cut {cut}")
        finally:
            world.close()
        cut += 1


def _undo(
    world: World, draw: random.Random, stages: list[Json], ran: Ran, initial: Balances, report: Report, name: str
) -> None:
    external: External = draw.choice(("keep", "keep", "reverse"))
    payouts = [effect for effect in ran.effects if effect.activity == "CreateTransferInitiation"]
    for payout in payouts:
        _bank_decides(world, draw, payout.key)
    are_read = draw.random() < 0.7
    statuses = {each.key: world.initiation(each.key)["status"] for each in payouts} if are_read else {}
    case = Case(ran.effects, stages, {}, ran.wallet_ledgers, statuses)
    undo = undo_of(case, external)
    if undo.blocked:
        report.blocked += 1
        assert all(statuses[each.effect.key] in ("PARTIALLY_REVERSED", "REVERSE_FAILED") for each in undo.blocked), name
        return
    _revert_by_hand(world, draw, ran)
    document = None if world.decides else planned(world, undo.stages)  # a plan does not wait for a bank
    undone = run(world, undo.stages, "undo")
    if document is not None:
        _compare(document, undone, name)

    kept = [index for index, effect in enumerate(ran.effects) if _stands(world, ran, effect)]
    expected = _sum(initial, *(ran.moved[index] for index in kept))
    if undone.error is None:
        report.undone += 1
        report.kept += len(kept)
        assert world.balances() == expected, f"{name}: {difference(world.balances(), expected)}"
        _check_listed(undo, ran, kept, are_read, name)
        return
    # A payout that is kept has taken money which an earlier revert lacks, or a bank has not got it back.
    report.stopped += 1
    is_for_a_person = "a person must decide" in undone.error
    assert is_for_a_person or ("INSUFFICIENT_FUND" in undone.error and payouts), f"{name}: {undone.error}"


def planned(world: World, stages: list[Json]) -> Json:
    """The plan of an undo by these stages, which sends nothing but reads."""
    asking, answer = plan(Subject({"name": "undo", "stages": stages}, {}), Terms(world.now_at())), cast("Any", None)
    while True:
        try:
            question = asking.send(answer)
        except StopIteration as ended:
            return ended.value
        answer = Answer(world.sandbox.handle(question.request), world.now_at())


def _compare(document: Json, undone: Ran, name: str) -> None:
    """A plan has the effects that the undo had, in order; where it fails, the undo has failed there, or earlier."""
    fails: Json | None = document.get("fails")
    found = [(effect.stage, effect.ordinal, effect.activity) for effect in undone.effects]
    signed = [(each["stage"], each["ordinal"], each["activity"]) for each in document["effects"]]
    assert (fails is None) == (undone.error is None), f"{name}: {fails}, {undone.error}"
    if fails is None:
        assert signed == found, name
        return
    assert found == [each for each in signed if each[:2] < (fails["stage"], fails["ordinal"])], f"{name}: {fails}"
    assert fails.get("code", "") in (undone.error or ""), f"{name}: {fails}, {undone.error}"


def _bank_decides(world: World, draw: random.Random, reference: str) -> None:
    chance = draw.random()
    initiation = world.initiation(reference)
    if initiation["status"] == "WAITING_FOR_VALIDATION":
        if chance < 0.4:
            world.report(reference, "REJECTED" if chance < 0.2 else "VALIDATED")
    elif chance < 0.15:
        world.report(reference, "FAILED")
    elif chance < 0.35:
        world.report(reference, draw.choice(PENDING))
        world.decides[initiation["id"]] = draw.choice(("PROCESSED", "FAILED", "REVERSED"))
    elif chance < 0.4:
        world.report(reference, draw.choice(("PARTIALLY_REVERSED", "REVERSE_FAILED")))


def _revert_by_hand(world: World, draw: random.Random, ran: Ran) -> None:
    """Somebody has reverted the last transaction already, where it funded no payout."""
    last = ran.effects[-1]
    is_own = last.activity == "CreateTransaction" and last.output is not None
    if is_own and not last.input["data"]["reference"].startswith("headrace:ingest:") and draw.random() < 0.2:
        path = f"/v2/{last.input['ledger']}/transactions/{last.output['data']['id']}/revert?force=true"  # type: ignore[index]
        world.post("ledger", path, {})


def _stands(world: World, ran: Ran, effect: DoneEffect) -> bool:
    """Whether an effect must be kept, by what the services say in the end."""
    if effect.activity == "AddAccountMetadata":
        return True
    if effect.activity == "CreateTransaction" and effect.input["data"]["reference"].startswith("headrace:ingest:"):
        return True
    payout = next(
        (each for each in ran.effects if each.stage == effect.stage and each.activity == "CreateTransferInitiation"),
        None,
    )
    return payout is not None and world.initiation(payout.key)["status"] == "PROCESSED"


def _sum(first: Balances, *others: Balances) -> Balances:
    total: Counter[tuple[str, str]] = Counter(first)
    for other in others:
        for place, amount in other.items():
            total[place] += amount
    return Counter({place: amount for place, amount in total.items() if amount})


def _check_listed(undo: Undo, ran: Ran, kept: list[int], are_read: bool, name: str) -> None:
    """Each leg that is listed as kept stands, with a reason; and each effect has a stage or is listed, at most once."""
    listed = [each.effect.key for each in undo.kept]
    assert all(each.reason for each in undo.kept), name
    assert set(listed) <= {ran.effects[index].key for index in kept}, name
    assert len(set(listed)) == len(listed) and len(listed) + len(undo.stages) <= len(ran.effects), name
    assert are_read or not any("payout" in each.reason for each in undo.kept), name
