"""What must hold after any life: MS-1 to MS-10 of the specification of money safety, and what they rest on.

Each oracle compares what was committed, in the order of commits, with what reached the services and what their books
hold. None of them uses the product's code for what it decides: keys, gates, pins and chains are derived here again.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from headrace.errors import NotCertifiable
from headrace.testing.virtual import finished
from headrace.usecases.certificates import case_of, read_case
from headrace.usecases.undo import report_of
from tests.certificates.cases import certified
from tests.interleavings.facts import INGESTION, Booking, Facts, content
from tests.interleavings.persons import Persons
from tests.interleavings.processes import Servers
from tests.interleavings.stage_rules import STAGE_RULES, asked
from tests.interleavings.v1_views import v1_is_as_it_was
from tests.interleavings.world import World

Json = dict[str, Any]
OPENING = frozenset(
    {"OpenStage", "OpenActivity", "AddClosedActivity", "BeginAttempt", "MoveInstance", "PassGate", "PinInstance"}
    | {"WaitForEvent", "OpenGate", "TakeEvent", "EndWait", "AmendStage"}
)
"""Writes by which an instance goes on: none of them may follow its end."""
REFUSED = range(400, 500)


def problems_of(world: World, persons: Persons, servers: Servers) -> list[str]:
    """Contradictions, in sentences that begin with the id of the invariant."""
    facts = Facts.of(world, persons, servers)
    problems: list[str] = []
    for oracle in ORACLES:
        try:
            problems += oracle(facts)
        except (AssertionError, LookupError):  # rows that contradict each other lead a later oracle astray
            if not problems:
                raise
    return problems


def _only_reads(facts: Facts) -> Iterator[str]:
    for request in facts.world.planned_writes:
        yield f"MS-1 a use case has sent {request.method} {request.path}"


def _pins(facts: Facts) -> Iterator[str]:
    """By commit: which plan an instance may not leave, and each intent that is stored while there is one."""
    pins: dict[str, str] = {}
    for each in facts.writes:
        match each.name:
            case "AddInstance" | "AddContinuation":
                plan_id: str = each.write.plan_id or pins.get(getattr(each.write, "predecessor", ""), "")
                if plan_id:
                    pins[each.write.instance_id] = plan_id
            case "PinInstance":
                pins[each.write.instance_id] = each.write.plan_id
            case "OpenActivity" if each.write.key and each.write.instance_id in pins:
                yield from _signed(facts.plans[pins[each.write.instance_id]]["document"], each.write)
            case _:
                pass


def _signed(document: Json, intent: Any) -> Iterator[str]:
    stage, ordinal = map(int, intent.key.split(":")[2:])
    place = f"MS-2 {intent.key} of instance {intent.instance_id}"
    signed = [each for each in document["effects"] if (each["stage"], each["ordinal"]) == (stage, ordinal)]
    if len(signed) != 1:
        yield f"{place} is an intent, and its plan has no such effect"
        return
    wanted = signed[0]["method"], signed[0]["path"], dict(signed[0]["body"])
    wanted[2].pop("scheduledAt", None)
    body = json.dumps(wanted[2]).replace(f"headrace:plan:{stage}:{ordinal}", "KEY")
    found = content(intent.request_method, intent.request_path, intent.request_body)
    if (found["method"], found["path"], found["body"]) != (*wanted[:2], json.loads(body)):
        yield f"{place} is {found}, and its plan says {wanted}"
    if signed[0]["activity"] != intent.name:
        yield f"{place} is {intent.name}, and its plan says {signed[0]['activity']}"


def _plans_are_used_once(facts: Facts) -> Iterator[str]:
    users: defaultdict[str, list[str]] = defaultdict(list)
    over: dict[str, str] = {}
    for each in facts.writes:
        plan_id: str = getattr(each.write, "plan_id", None) or ""
        match each.name:
            case "AddInstance" | "AddContinuation" | "PinInstance" if plan_id:
                users[plan_id].append(each.write.instance_id)
                if plan_id in over:
                    yield f"MS-3 plan {plan_id} is used, and was {over[plan_id]} before"
            case "RejectPlan":
                over[plan_id] = "rejected"
            case "ExpirePlan":
                over[plan_id] = "expired"
            case "UsePlan" | "SpendPlan" if each.write.at >= facts.plans[plan_id]["expires_at"]:
                yield f"MS-3 plan {plan_id} is used at {each.write.at}, after its end"
            case _:
                pass
    for plan_id, instances in users.items():
        if len(instances) > 1:
            yield f"MS-3 plan {plan_id} is of instances {', '.join(instances)}"
        subject = facts.plans[plan_id]["subject"]
        if "instance" in subject and instances != [subject["instance"]]:
            yield f"MS-3 plan {plan_id} of the rest of {subject['instance']} is of {instances}"
        for verb in ("redrive", "undo"):
            if verb in subject and facts.before[instances[0]]["predecessor"] != subject[verb]:
                yield f"MS-3 plan {plan_id} of the {verb} of {subject[verb]} is of {instances}"


def _gates(facts: Facts) -> Iterator[str]:
    """Each intent behind an `approve`, or behind a send that the rule names, comes after enough approvals."""
    approvals: defaultdict[str, list[tuple[int, Any]]] = defaultdict(list)
    deadlines: dict[tuple[str, int], int] = {}
    pinned: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for each in facts.writes:
        match each.name:
            case "AddDecision":
                approvals[each.write.target].append((each.commit.number, each.write))
            case "OpenGate" if each.write.deadline_at is not None:
                deadlines[each.write.instance_id, each.write.number] = each.write.deadline_at
            case "AddInstance" | "AddContinuation" | "PinInstance" if each.write.plan_id is not None:
                pinned[each.write.instance_id].append((each.commit.number, each.write.plan_id))
            case _:
                pass

    def is_approved(plan_id: str, needed: int, number: int, asked_for: str, deadline_at: int | None) -> bool:
        decided = [decision for at, decision in approvals[plan_id] if at <= number]
        if any(decision.verdict != "approve" for decision in decided):
            return False
        others = {
            decision.principal
            for decision in decided
            if decision.hash == facts.plans[plan_id]["hash"] and (deadline_at is None or decision.at < deadline_at)
        } - facts.requesters(asked_for, plan_id if facts.plans[plan_id]["instance_id"] == asked_for else None)
        return len(others) >= needed

    for each in facts.named("OpenActivity"):
        instance_id = each.write.instance_id
        if not each.write.key or facts.instances[instance_id]["kind"] == "undo":
            continue
        chain = facts.chain(instance_id)
        if facts.instances[chain[-1]]["kind"] == "undo":
            continue
        plans = [(link, plan_id) for link in chain for at, plan_id in pinned[link] if at <= each.commit.number]
        for number, needed, is_rule in asked(facts, instance_id, each.write.stage):
            is_passed = any(
                is_approved(plan_id, needed, each.commit.number, link, deadlines.get((link, number)))
                for link, plan_id in plans
                if is_rule or facts.plans[plan_id]["document"].get("from", {}).get("stage") == number
            )
            if not is_passed:
                yield f"MS-4 {each.write.key} is an intent before stage {number} had {needed} approvals"


def _one_booking(facts: Facts) -> Iterator[str]:
    for key, found in facts.bookings.items():
        if len(found) > 1:
            yield f"MS-5 {key} is booked {len(found)} times"
    ingested = Counter(
        (ledger, each["destination"])
        for ledger, document in facts.contents.transactions
        for each in document["postings"]
        if (document.get("reference") or "").startswith("headrace:")
        and (each["source"], each["destination"].partition(":")[0]) == ("world", "payment")
    )
    for place, count in ingested.items():
        if count > 1:
            yield f"MS-5 a payment that came in is booked {count} times on {place}"
    for place, reverts in facts.reverts.items():
        if len(reverts) > 1:
            yield f"MS-5 transaction {place} is reverted {len(reverts)} times"
    for key, attempts in facts.attempts.items():
        contents = [content(each.request.method, each.request.path, each.request.body) for each in attempts]
        for place in range(1, len(attempts)):
            if contents[place] == contents[place - 1]:
                continue
            earlier = attempts[:place]
            are_answered = all(each.ended is not None and each.ended < attempts[place].number for each in earlier)
            if not are_answered or earlier[-1].answer not in REFUSED:
                yield f"MS-5 {key} is sent with other content: {contents[place - 1]}, then {contents[place]}"


def _keys(facts: Facts) -> Iterator[str]:
    """Each intent has the key of its root, stage and ordinal; and each request belongs to an intent stored before."""
    stored: dict[str, int] = {}
    for each in facts.named("OpenActivity"):
        if each.write.key:
            stored.setdefault(each.write.key, each.commit.number)
    done = Counter((row["instance_id"], row["stage"]) for row in facts.effects if _is_done(row))
    for instance_id in facts.instances:  # clocks jump: a successor may seem older than its predecessor
        links = list(reversed(facts.chain(instance_id)))
        root = links[0]
        for row in (row for row in facts.effects if row["instance_id"] == instance_id):
            stage = row["stage"]
            fed = sum(done[link, stage] for link in links[:-1])
            own = [each for each in facts.effects if each["instance_id"] == instance_id and each["stage"] == stage]
            key = f"headrace:{root}:{stage}:{fed + own.index(row)}"
            if row["key"] != key:
                yield f"MS-5 an effect of instance {instance_id} has the key {row['key']}, not {key}"
    for key, attempts in facts.attempts.items():
        if key not in stored or attempts[0].number < stored[key]:
            yield f"MS-5 {key} is sent before its intent is stored"


def _successors(facts: Facts) -> Iterator[str]:
    """At most one after an instance, and only after all of it is known."""
    for instance_id, row in facts.instances.items():
        if row["kind"] != "run" and instance_id not in facts.before:
            yield f"MS-6 instance {instance_id} is a {row['kind']} of none"
    follows: dict[str, int] = {}
    for each in facts.named("AddSuccessor"):
        if each.write.predecessor in follows:
            yield f"MS-6 instance {each.write.predecessor} has two successors"
        follows[each.write.predecessor] = each.commit.number
    for each in facts.named("CloseActivity", "OpenActivity", "EndInstance"):
        if each.commit.number > follows.get(each.write.instance_id, each.commit.number):
            yield f"MS-6 instance {each.write.instance_id} has a successor, and then {each.name}"


def _done_is_done(facts: Facts) -> Iterator[str]:
    """What is done is never sent again, but by a permit from before."""
    closed: dict[str, tuple[int, float]] = {}
    keys = {(row["instance_id"], row["stage"], row["position"]): row["key"] for row in facts.effects}
    for each in facts.named("CloseActivity"):
        if each.write.error is None:
            key = keys.get((each.write.instance_id, each.write.stage, each.write.position))
            if key is not None:
                if key in closed:
                    yield f"MS-6 {key} is done twice"
                closed[key] = each.commit.number, each.commit.at_s
    for key, attempts in facts.attempts.items():
        number, at_s = closed.get(key, (None, 0.0))
        for attempt in attempts:
            if number is not None and attempt.number > number and attempt.at_s > at_s + facts.servers.permit_s:
                yield f"MS-6 {key} is sent again after it is done"


def _sagas(facts: Facts) -> Iterator[str]:
    """By `on_failure: undo`, the commit that ends an instance begins its undo, unless nothing of it is to be reverted.

    Nothing is begun after a success, an abort or a conflict. What came in and metadata stay, and so does what a person
    called booked without an id.
    """
    rows = facts.rows("SELECT * FROM resolutions")
    attested = {(row["instance_id"], row["stage"], row["position"]) for row in rows if "text" in row["evidence"]}
    for each in facts.named("EndInstance"):
        instance_id, failure = each.write.instance_id, each.write.failure
        steps = [step.write for step in facts.named("AddSuccessor") if step.commit is each.commit]
        begun = [step.kind for step in steps if step.predecessor == instance_id]
        asks = json.loads(facts.instances[instance_id]["definition"]).get("on_failure") == "undo"
        reverts = [
            row["key"]
            for row in facts.effects
            if row["instance_id"] in facts.chain(instance_id)
            and _is_done(row)
            and row["name"] != "AddAccountMetadata"
            and (row["instance_id"], row["stage"], row["position"]) not in attested
            and not facts.booked_as(row).startswith(INGESTION)
        ]
        is_undone = asks and bool(reverts) and failure not in (None, "canceled", "conflict", "unclassified")
        if begun != ["undo"] * is_undone:
            yield f"S7 instance {instance_id} ends {failure} with {reverts} done, and its commit begins {begun}"


def _undone(facts: Facts) -> Iterator[str]:
    """After an undo the books hold of its case what is listed as kept, and nothing else. What came in stays."""
    for key, found in facts.bookings.items():
        for booking in found:
            place = booking.place, booking.number
            if key.startswith(INGESTION) and place in facts.reverts and place not in facts.persons.reverted_by_hand:
                yield f"MS-7 {key} is reverted, and others may use it"
    for instance_id, row in facts.instances.items():
        root = facts.chain(instance_id)[-1]
        is_last = instance_id not in facts.after
        if facts.instances[root]["kind"] != "undo" or not is_last or row["terminated_at"] is None or row["error"]:
            continue
        instance = finished(facts.world.journal.instance(instance_id))
        assert instance is not None
        report = finished(report_of(facts.world.journal, instance))
        kept = {each.key for each in report.kept} if report is not None else set[str]()
        case = facts.chain(facts.before[root]["predecessor"])
        yield from _left(facts, case, kept)


def _left(facts: Facts, case: list[str], kept: set[str]) -> Iterator[str]:
    moved: Counter[tuple[str, str, str]] = Counter()
    allowed: Counter[tuple[str, str, str]] = Counter()
    done = {row["key"] for row in facts.effects if row["instance_id"] in case and _is_done(row)}
    for key, found in facts.bookings.items():
        if not key.startswith(f"headrace:{case[-1]}:"):
            continue
        if facts.persons.schedule.is_very_late and key not in done:
            continue  # it came when nobody waited for it any more: a certificate says so
        for booking in found:
            if booking.place == "payments":
                yield from _paid(key, booking, kept, done)
                continue
            place = booking.place, booking.number
            if key in kept and place in facts.persons.reverted_by_hand:
                continue
            _add(moved, booking)
            for revert in facts.reverts.get(place, []):
                _add(moved, Booking(booking.place, revert))
            if key in kept:
                _add(allowed, booking)
    for place in {*moved, *allowed}:
        if moved[place] != allowed[place]:
            yield f"MS-7 {place} has changed by {moved[place]} after the undo of {case[0]}, kept: {allowed[place]}"


def _paid(key: str, booking: Booking, kept: set[str], done: set[str]) -> Iterator[str]:
    """A payout that is paid is kept, and so is what funded it."""
    status = booking.document["status"]
    if key not in kept and status not in ("REJECTED", "REVERSED", "FAILED"):
        yield f"MS-7 {key} is {status} after the undo, and not listed as kept"
    if status == "PROCESSED":
        prefix, _, ordinal = key.rpartition(":")
        funding = {f"{prefix}:{number}" for number in range(int(ordinal))} & done
        yield from (f"MS-7 {each} funded {key}, which is paid, and is not kept" for each in sorted(funding - kept))


def _add(sums: Counter[tuple[str, str, str]], booking: Booking) -> None:
    for each in booking.document["postings"]:
        sums[booking.place, each["source"], each["asset"]] -= each["amount"]
        sums[booking.place, each["destination"], each["asset"]] += each["amount"]


def _is_done(row: Json) -> bool:
    return row["terminated_at"] is not None and row["error"] is None


def _certificates(facts: Facts) -> Iterator[str]:
    """A case is certified if and only if its books are as its history says. Every third life is asked for one case."""
    ends = [each for each in facts.instances if each not in facts.after]
    if not ends or facts.persons.schedule.seed % 3:  # a certificate takes as long as a third of a life
        return
    end = ends[facts.persons.schedule.seed % len(ends)]
    ids = finished(case_of(facts.world.journal, end))
    instances = [facts.instances[each] for each in ids]
    effects = [row for row in facts.effects if row["instance_id"] in ids]
    is_open = any(row["terminated_at"] is None for row in (*instances, *effects))
    problems = [problem for problem in _known(facts) if any(each in problem for each in ids)]
    try:
        certified(finished(read_case(facts.world.journal, ids)), facts.world.sandbox.handle)
    except NotCertifiable as error:
        is_touched = bool(facts.persons.reverted_by_hand) or facts.persons.schedule.is_very_late
        if not is_open and not problems and not is_touched:
            yield f"MS-8 the case of {end} is not certified: {error.code}: {error}"
        return
    if is_open:
        yield f"MS-8 the case of {end} is certified while it is open"
    yield from (f"MS-8 the case of {end} is certified, and {problem}" for problem in problems)


def _known(facts: Facts) -> Iterator[str]:
    """What is recorded as done is booked, and what is recorded as not done is not."""
    by_key: defaultdict[str, list[Json]] = defaultdict(list)
    for row in facts.effects:
        if row["name"] not in ("AddAccountMetadata", "RevertTransaction", "RejectTransferInitiation"):
            by_key[facts.booked_as(row)].append(row)
    for key, rows in by_key.items():
        if any(row["name"] == "ReverseTransferInitiation" for row in rows):
            continue
        booked = len(facts.bookings.get(key, ()))
        if any(row["terminated_at"] is None for row in rows):
            continue
        is_done = any(_is_done(row) for row in rows)
        is_late = (facts.persons.schedule.is_very_late or key.startswith(INGESTION)) and not is_done
        if booked != is_done and not is_late:
            recorded = "done" if is_done else rows[-1]["error"]
            yield f"MS-9 {key} of {rows[-1]['instance_id']} is {recorded}, booked {booked} times"
    for key in facts.bookings:
        if key not in by_key:
            yield f"MS-9 {key} is booked, and no history has it"


def _persons_decide(facts: Facts) -> Iterator[str]:
    """An effect that needs a person is closed by a person's row, in the same commit."""
    resolved = {(row["instance_id"], row["stage"], row["position"]) for row in facts.rows("SELECT * FROM resolutions")}
    waiting: set[tuple[str, int, int]] = set()
    for each in facts.named("FailAttempt", "CloseActivity"):
        place = each.write.instance_id, each.write.stage, each.write.position
        if each.name == "FailAttempt":
            (waiting.add if each.write.needs_attention else waiting.discard)(place)
        elif place in waiting and place not in resolved:
            yield f"MS-9 {place} needed a person, and is closed without one"
        elif place in waiting and not any(type(other).__name__ == "AddResolution" for other in each.commit.writes):
            yield f"MS-9 {place} is closed in another commit than the person's decision"


def _reverts_are_known(facts: Facts) -> Iterator[str]:
    """Each reversal of one of Headrace's transactions is a recorded effect or was made by hand, and the reverse."""
    wanted: Counter[tuple[str, str]] = Counter()
    for row in facts.effects:
        if row["name"] == "RevertTransaction" and _is_done(row):
            values = json.loads(row["input"])
            wanted[values["ledger"], str(values["id"])] += 1
    for place in facts.reverts:
        if place not in wanted and place not in facts.persons.reverted_by_hand:
            is_open = any(row["name"] == "RevertTransaction" and not _is_done(row) for row in facts.effects)
            if not (facts.persons.schedule.is_very_late and is_open):
                yield f"MS-9 transaction {place} is reverted, and no history has it"
    for place in wanted:
        if place not in facts.reverts:
            yield f"MS-9 transaction {place} is recorded as reverted, and is not"


def _ends_are_final(facts: Facts) -> Iterator[str]:
    """Nothing of an instance goes on after its end: not by an expiry, an approval, an event, or a process."""
    ended: dict[str, int] = {}
    for each in facts.writes:
        instance_id: str = getattr(each.write, "instance_id", "")
        number = ended.get(instance_id)
        if each.name in OPENING and number is not None and each.commit.number > number:
            yield f"MS-4 instance {instance_id} has ended, and then {each.name}"
        if each.name == "EndInstance":
            if number is not None:
                yield f"MS-4 instance {instance_id} ends twice"
            ended[each.write.instance_id] = each.commit.number
    for told in facts.persons.told:
        if told.operation != "abortInstance" or told.refusal is not None or told.target in facts.after:
            continue
        keys = {row["key"] for row in facts.effects if row["instance_id"] == told.target}
        for key in keys:
            if any(attempt.number > told.number for attempt in facts.attempts.get(key, ())):
                yield f"MS-6 {key} is sent after the answer to the abort of {told.target}"


def _answers_last(facts: Facts) -> Iterator[str]:
    """What was answered is there."""
    decided = {(row["target"], row["principal"], row["verdict"]) for row in facts.rows("SELECT * FROM decisions")}
    for told in facts.persons.told:
        if told.refusal is not None:
            if told.refusal.split(":")[0] in ("Conflict", "RepeatedKey", "PlanLost", "JournalMismatch"):
                yield f"MS-0 a person was answered {told.refusal}"
            continue
        match told.operation:
            case "runWorkflow" | "runPlan" | "redriveInstance" | "undoInstance" if told.target not in facts.instances:
                yield f"MS-0 {told.operation} was answered, and its instance is not there"
            case "createPlan" if told.target not in facts.plans:
                yield "MS-0 createPlan was answered, and its plan is not there"
            case "approvePlan" | "rejectPlan":
                verdict = told.operation.removesuffix("Plan")
                if (told.target, told.step.by, verdict) not in decided:
                    yield f"MS-0 {told.operation} was answered, and its decision is not there"
            case "abortInstance" if facts.instances[told.target]["failure"] != "canceled":
                yield f"MS-0 abortInstance was answered, and {told.target} is not aborted"
            case _:
                pass


def _items_start_once(facts: Facts) -> Iterator[str]:
    started: Counter[tuple[str, int]] = Counter()
    states: dict[str, str] = {}
    for each in facts.named("StartBatch", "PauseBatch", "ResumeBatch", "CancelBatch", "StartItem"):
        if each.name != "StartItem":
            states[each.write.batch_id] = each.name
            continue
        started[each.write.batch_id, each.write.number] += 1
        if states.get(each.write.batch_id) not in ("StartBatch", "ResumeBatch"):
            yield f"MS-6 an item of batch {each.write.batch_id} starts after {states.get(each.write.batch_id)}"
    for place, count in started.items():
        if count > 1:
            yield f"MS-6 item {place} has started {count} times"
    made = Counter(each.write.made_id for each in facts.named("StartItem") if each.write.made_id is not None)
    for instance_id in made:
        if instance_id not in facts.instances:
            yield f"MS-6 an item has started {instance_id}, which is not there"


def _starts_once(facts: Facts) -> Iterator[str]:
    """As many runs as persons and batches have asked for: a repeated request starts nothing again."""
    asked = Counter(told.target for told in facts.persons.told if told.operation in ("runWorkflow", "runPlan"))
    runs = sum(row["kind"] == "run" for row in facts.instances.values())
    items = sum(
        each.write.made_id is not None and facts.instances[each.write.made_id]["kind"] == "run"
        for each in facts.named("StartItem")
    )
    answered = {target for target in asked if target}
    steps = sum(step.verb in ("start", "run") for step in facts.persons.schedule.steps)
    if not len(answered) + items <= runs <= steps + items:
        yield f"MS-3 {runs} runs for {len(answered)} answers and {items} items"


def _conservation(facts: Facts) -> Iterator[str]:
    totals: Counter[tuple[str, str]] = Counter()
    booked: Counter[tuple[str, str, str]] = Counter()
    for ledger, transaction in facts.contents.transactions:
        _add(booked, Booking(ledger, transaction))
    for (ledger, account, asset), amount in facts.contents.balances.items():
        totals[ledger, asset] += amount
        if booked[ledger, account, asset] != amount:
            said = booked[ledger, account, asset]
            yield f"MS-5 {ledger} {account} holds {amount} {asset}, its transactions say {said}"
    yield from (f"MS-5 all balances of {place} sum to {total}" for place, total in totals.items() if total)


ORACLES: tuple[Callable[[Facts], Iterator[str]], ...] = (
    _only_reads,
    _pins,
    _plans_are_used_once,
    _gates,
    _one_booking,
    _keys,
    _successors,
    _done_is_done,
    _sagas,
    _undone,
    _certificates,
    _known,
    _persons_decide,
    _reverts_are_known,
    _ends_are_final,
    _answers_last,
    _items_start_once,
    _starts_once,
    _conservation,
    *STAGE_RULES,
    v1_is_as_it_was,
)
