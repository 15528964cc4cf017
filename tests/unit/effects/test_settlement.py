"""Every path of the effect protocol: decisions M2 to M6b, Q19, Q22, E6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.effects.port import Absent, Done, Found, FoundOther, Refused, Undecided, Unknown
from headrace.effects.settlement import (
    CREATE_LEDGER,
    LOOK_UP,
    SEND,
    Action,
    Backoff,
    EffectProtocol,
    Family,
    NeedsAttention,
    NotBooked,
    Pause,
    Send,
)

SETTLE_S = 30.0
NO_FUNDS = Refused("INSUFFICIENT_FUND", "no funds")
CONFLICT = Refused("CONFLICT", "reference taken")
NO_ANSWER = Unknown("no answer")


class Desk:
    """Plays the engine's part, with a clock of its own."""

    def __init__(
        self, family: Family, *, was_sent: bool = False, is_aborted: bool = False, ledger: str = "main"
    ) -> None:
        self.now_s = 1_000.0
        self.sends = 0
        self.look_ups = 0
        self.protocol = EffectProtocol(
            family,
            backoff=Backoff(1.0, 100.0, lambda: 1.0),
            settle_s=SETTLE_S,
            now_s=self.now_s,
            was_sent=was_sent,
            is_aborted=is_aborted,
            ledger=ledger,
        )

    @property
    def action(self) -> Action:
        return self.protocol.action

    def send(self, outcome: Done | Refused | Unknown) -> Action:
        assert self.action is SEND, self.action
        self.sends += 1
        self.protocol.sent(outcome, self.now_s, self.now_s)
        return self.action

    def look(self, found: Found | FoundOther | Absent | Undecided | Unknown) -> Action:
        assert self.action is LOOK_UP, self.action
        self.look_ups += 1
        self.protocol.looked_up(found, self.now_s)
        return self.action

    def wait(self) -> float:
        assert isinstance(self.action, Pause), self.action
        seconds = self.action.seconds
        self.now_s += seconds
        self.protocol.paused()
        return seconds


EFFECTS = [family for family in Family if family is not Family.READ]
KEYED = [Family.TRANSACTION, Family.METADATA, Family.WALLET]
WITHOUT_KEY = [Family.INITIATION, Family.REVERSAL]


@pytest.mark.parametrize("family", KEYED)
def test_done_at_once(family: Family) -> None:
    assert Desk(family).send(Done({"data": 1})) == Done({"data": 1})


@pytest.mark.parametrize("family", KEYED)
def test_a_first_refusal_is_final(family: Family) -> None:
    assert Desk(family).send(NO_FUNDS) == NO_FUNDS


@pytest.mark.parametrize("family", KEYED)
def test_a_refusal_after_an_unknown_attempt_is_not_yet_one(family: Family) -> None:
    desk = Desk(family)
    desk.send(NO_ANSWER)
    desk.wait()
    desk.send(NO_FUNDS)
    assert desk.wait() == SETTLE_S
    assert desk.send(Done("booked after all")) == Done("booked after all")


@pytest.mark.parametrize("family", [Family.TRANSACTION, Family.METADATA])
def test_two_refusals_settle_s_apart_are_final(family: Family) -> None:
    desk = Desk(family, was_sent=True)
    desk.send(NO_FUNDS)
    desk.wait()
    assert desk.send(NO_FUNDS) == NO_FUNDS
    assert desk.sends == 2


def test_an_unknown_between_two_refusals_starts_the_settling_anew() -> None:
    desk = Desk(Family.TRANSACTION, was_sent=True)
    desk.send(NO_FUNDS)
    desk.wait()
    desk.send(NO_ANSWER)
    desk.wait()
    assert isinstance(desk.send(NO_FUNDS), Pause)
    assert desk.wait() == SETTLE_S
    assert desk.send(NO_FUNDS) == NO_FUNDS


def test_conflict_on_our_reference_is_looked_up() -> None:
    desk = Desk(Family.TRANSACTION)
    desk.send(CONFLICT)
    assert desk.look(Found({"data": {"id": 7}})) == Done({"data": {"id": 7}})
    other = Desk(Family.TRANSACTION)
    other.send(CONFLICT)
    assert other.look(FoundOther("other postings")) == Refused("CONFLICT", "other postings")


def test_conflict_after_an_unknown_attempt_settles_first() -> None:
    desk = Desk(Family.TRANSACTION, was_sent=True)
    assert isinstance(desk.send(CONFLICT), Pause)
    desk.wait()
    desk.send(CONFLICT)
    assert desk.look(Found("ours")) == Done("ours")


def test_conflict_without_a_transaction_is_asked_once_more() -> None:
    desk = Desk(Family.TRANSACTION)
    desk.send(CONFLICT)
    desk.look(Absent())
    assert desk.wait() == SETTLE_S
    desk.send(CONFLICT)
    assert desk.look(Absent()) == CONFLICT


@pytest.mark.parametrize("family", EFFECTS)
def test_changed_bytes_need_a_person(family: Family) -> None:
    desk = Desk(family)
    if desk.action is LOOK_UP:
        desk.look(Absent())
    refusal = Refused("VALIDATION", "invalid idempotency hash provided")
    assert isinstance(desk.send(refusal), NeedsAttention)


# wallets


def test_a_wallet_write_confirmed_refused_is_looked_up() -> None:
    desk = Desk(Family.WALLET, was_sent=True)
    desk.send(NO_FUNDS)
    desk.wait()
    desk.send(NO_FUNDS)
    assert desk.look(Found(None)) == Done(None)


@pytest.mark.parametrize("found", [Absent(), FoundOther("another amount")])
def test_a_wallet_write_that_cannot_be_decided_needs_a_person(found: Absent | FoundOther) -> None:
    desk = Desk(Family.WALLET, was_sent=True)
    desk.send(NO_FUNDS)
    desk.wait()
    desk.send(NO_FUNDS)
    assert isinstance(desk.look(found), NeedsAttention)


# ingestion


def test_an_ingestion_is_looked_up_before_it_is_sent() -> None:
    desk = Desk(Family.INGESTION)
    assert desk.look(Found("another instance did it")) == Done("another instance did it")
    assert desk.sends == 0


@pytest.mark.parametrize("refusal", [NO_FUNDS, CONFLICT])
def test_a_refused_ingestion_is_looked_up_again(refusal: Refused) -> None:
    desk = Desk(Family.INGESTION)
    desk.look(Absent())
    desk.send(refusal)
    assert desk.look(Found("it was faster")) == Done("it was faster")
    desk = Desk(Family.INGESTION)
    desk.look(Absent())
    desk.send(refusal)
    assert desk.look(Absent()) == refusal


def test_an_ingestion_with_other_postings_fails() -> None:
    assert Desk(Family.INGESTION).look(FoundOther("other amount")) == Refused("CONFLICT", "other amount")


def test_a_refused_ingestion_after_an_unknown_attempt_settles() -> None:
    desk = Desk(Family.INGESTION, was_sent=True)
    desk.look(Absent())
    desk.send(NO_FUNDS)
    desk.look(Absent())
    assert desk.wait() == SETTLE_S
    desk.send(NO_FUNDS)
    assert desk.look(Absent()) == NO_FUNDS


# transfer initiations


def test_an_initiation_is_looked_up_before_it_is_sent_again() -> None:
    desk = Desk(Family.INITIATION)
    desk.send(NO_ANSWER)
    desk.wait()
    desk.look(Absent())
    desk.wait()
    desk.look(Absent())
    assert desk.action is SEND
    assert desk.now_s >= 1_000.0 + SETTLE_S
    assert desk.sends == 1


def test_an_initiation_found_is_done_and_with_other_values_needs_a_person() -> None:
    assert Desk(Family.INITIATION, was_sent=True).look(Found(None)) == Done(None)
    assert isinstance(Desk(Family.INITIATION, was_sent=True).look(FoundOther("other amount")), NeedsAttention)


def test_a_first_refused_initiation_is_looked_up_and_final_when_absent() -> None:
    desk = Desk(Family.INITIATION)
    refusal = Refused("VALIDATION", "connector not installed")
    desk.send(refusal)
    assert desk.look(Absent()) == refusal


def test_a_refused_initiation_after_an_unknown_attempt_settles_and_is_looked_up_before_the_resend() -> None:
    desk = Desk(Family.INITIATION)
    desk.send(NO_ANSWER)
    desk.wait()
    desk.look(Absent())
    desk.wait()
    desk.look(Absent())
    desk.send(CONFLICT)
    desk.look(Absent())
    assert desk.wait() == SETTLE_S
    assert desk.action is LOOK_UP
    desk.look(Absent())
    desk.send(CONFLICT)
    assert desk.look(Absent()) == CONFLICT


# reverts


ALREADY = Refused("ALREADY_REVERT", "reverted before")


def test_a_revert_refused_at_first_is_final() -> None:
    assert Desk(Family.REVERT).send(NO_FUNDS) == NO_FUNDS
    assert Desk(Family.REVERT).send(Refused("NOT_FOUND", "x")) == Refused("NOT_FOUND", "x")


@pytest.mark.parametrize("refusal", [ALREADY, CONFLICT])
@pytest.mark.parametrize("was_sent", [False, True])
def test_a_transaction_that_is_reverted_already_is_done(refusal: Refused, was_sent: bool) -> None:
    """By an earlier attempt, or by hand: the ledger refuses every second revert."""
    desk = Desk(Family.REVERT, was_sent=was_sent)
    desk.send(refusal)
    assert desk.look(Found({"data": {"id": 7, "reverted": True}})) == Done({"data": {"id": 7, "reverted": True}})


def test_a_revert_without_a_response_is_sent_again() -> None:
    desk = Desk(Family.REVERT)
    desk.send(NO_ANSWER)
    desk.wait()
    assert desk.send(Done("reverted")) == Done("reverted")


def test_a_revert_refused_after_an_unknown_attempt_is_looked_up_and_final_only_when_it_has_settled() -> None:
    """A resend may overlap its own first attempt, which then has taken the money (decision M2b)."""
    desk = Desk(Family.REVERT)
    desk.send(NO_ANSWER)
    desk.wait()
    desk.send(NO_FUNDS)
    desk.look(Absent())
    assert desk.wait() == SETTLE_S
    desk.send(NO_FUNDS)
    assert desk.look(Absent()) == NO_FUNDS
    assert desk.sends == 3


def test_a_first_attempt_that_came_late_is_found() -> None:
    desk = Desk(Family.REVERT, was_sent=True)
    desk.send(NO_FUNDS)
    assert desk.look(Found()) == Done()


def test_a_ledger_that_contradicts_itself_needs_a_person() -> None:
    desk = Desk(Family.REVERT)
    desk.send(ALREADY)
    desk.look(Absent())
    assert desk.wait() == SETTLE_S
    desk.send(ALREADY)
    assert isinstance(desk.look(Absent()), NeedsAttention)


# rejections and reversals of initiations


def test_a_reversal_is_looked_up_before_it_is_sent_again() -> None:
    desk = Desk(Family.REVERSAL)
    desk.send(NO_ANSWER)
    desk.wait()
    desk.look(Absent())
    assert desk.wait() > 0
    assert desk.look(Absent()) is SEND
    assert desk.now_s >= 1_000.0 + SETTLE_S and desk.sends == 1


def test_a_reversal_found_is_done_and_an_initiation_that_went_on_refuses() -> None:
    assert Desk(Family.REVERSAL, was_sent=True).look(Found()) == Done()
    assert Desk(Family.REVERSAL, was_sent=True).look(FoundOther("is PROCESSED")) == Refused("CONFLICT", "is PROCESSED")


def test_a_refused_reversal_is_looked_up_and_final_when_absent() -> None:
    refusal = Refused("VALIDATION", "cannot be reversed")
    desk = Desk(Family.REVERSAL)
    desk.send(refusal)
    assert desk.look(Absent()) == refusal
    desk = Desk(Family.REVERSAL)
    desk.send(refusal)
    assert desk.look(Found()) == Done()


# the internal ledger


def test_the_internal_ledger_is_created_on_first_use() -> None:
    desk = Desk(Family.INGESTION, ledger="orchestration-000-internal")
    assert desk.look(Absent(ledger_is_missing=True)) is CREATE_LEDGER
    desk.protocol.created(Done())
    assert desk.action is SEND
    desk = Desk(Family.INGESTION, ledger="orchestration-000-internal")
    desk.look(Absent())
    assert desk.send(Refused("LEDGER_NOT_FOUND", "no such ledger")) is CREATE_LEDGER
    desk.protocol.created(Unknown("no answer"))
    desk.wait()
    assert desk.action is CREATE_LEDGER
    desk.protocol.created(Refused("LEDGER_ALREADY_EXISTS", "there"))
    assert desk.send(Done("booked")) == Done("booked")


def test_a_ledger_that_exists_and_is_still_not_found_is_asked_for_after_a_pause() -> None:
    desk = Desk(Family.INGESTION, ledger="orchestration-000-internal")
    desk.look(Absent())
    missing = Refused("LEDGER_NOT_FOUND", "no such ledger")
    there = Refused("LEDGER_ALREADY_EXISTS", "there")
    for turn in range(4):
        assert desk.send(missing) is CREATE_LEDGER
        desk.protocol.created(there)
        if turn:
            assert isinstance(desk.action, Pause), "asked again and again without a pause"
            desk.wait()


def test_another_missing_ledger_is_a_refusal() -> None:
    refusal = Refused("LEDGER_NOT_FOUND", "no such ledger")
    assert Desk(Family.TRANSACTION).send(refusal) == refusal


# abort


@pytest.mark.parametrize("family", EFFECTS)
def test_an_aborted_effect_is_settled_by_look_up_alone(family: Family) -> None:
    desk = Desk(family, was_sent=True, is_aborted=True)
    desk.look(Absent())
    assert desk.wait() == SETTLE_S
    action = desk.look(Absent())
    assert isinstance(action, NeedsAttention) if family is Family.WALLET else isinstance(action, NotBooked)
    assert desk.sends == 0


@pytest.mark.parametrize("family", EFFECTS)
def test_an_abort_during_an_attempt_records_what_it_answers(family: Family) -> None:
    desk = Desk(family)
    if desk.action is LOOK_UP:
        desk.look(Absent())
    begun_s = desk.now_s
    desk.protocol.abort()
    desk.protocol.sent(Done("booked"), begun_s, desk.now_s)
    assert desk.action == Done("booked")


# whatever happens

OUTCOMES = st.sampled_from([Done(None), NO_FUNDS, CONFLICT, ALREADY, NO_ANSWER, Refused("LEDGER_NOT_FOUND", "x")])
FOUND = st.sampled_from([Found(None), FoundOther("x"), Absent(), Undecided("?"), NO_ANSWER])


@given(st.data(), st.sampled_from(list(Family)), st.booleans(), st.sampled_from(["main", "orchestration-000-internal"]))
def test_whatever_the_services_answer(data: st.DataObject, family: Family, was_sent: bool, ledger: str) -> None:
    """No attempt after an abort; no resend right after an attempt where there is no key; it always gets somewhere."""
    desk = Desk(family, was_sent=was_sent, ledger=ledger)
    is_aborted = False
    looked_since_attempt = True
    for _ in range(60):
        if family is not Family.READ and not is_aborted and data.draw(st.integers(0, 9)) == 0:
            desk.protocol.abort()
            is_aborted = True
        action = desk.action
        if action is SEND:
            assert not is_aborted
            if family in WITHOUT_KEY and (desk.sends or was_sent):
                assert looked_since_attempt
            desk.send(data.draw(OUTCOMES))
            looked_since_attempt = False
        elif action is LOOK_UP:
            assert family is not Family.READ
            desk.look(data.draw(FOUND))
            looked_since_attempt = True
        elif action is CREATE_LEDGER:
            assert not is_aborted
            desk.protocol.created(data.draw(st.sampled_from([Done(None), NO_ANSWER])))
        elif isinstance(action, Pause):
            assert 0 <= action.seconds <= 3_700
            desk.wait()
        else:
            assert isinstance(action, Done | Refused | NotBooked | NeedsAttention)
            return


def test_retry_after_is_obeyed_within_bounds() -> None:
    desk = Desk(Family.READ)
    assert desk.send(Unknown("busy", retry_after_s=7.0)) == Pause(7.0 + 1.0, "busy")
    desk.wait()
    assert desk.send(Unknown("busy", retry_after_s=1e9)) == Pause(3_600.0 + 2.0, "busy")


def test_effects_with_the_same_retry_after_do_not_return_at_one_instant() -> None:
    drawn = iter([0.0, 0.25, 1.0])
    backoff = Backoff(1.0, 100.0, lambda: next(drawn))
    assert [backoff.seconds(3, 60.0) for _ in range(3)] == [60.0, 61.0, 64.0]


def test_backoff_doubles_to_its_cap_with_full_jitter() -> None:
    backoff = Backoff(1.0, 100.0, lambda: 1.0)
    assert [backoff.seconds(n, None) for n in (1, 2, 3, 7, 8, 50)] == [1.0, 2.0, 4.0, 64.0, 100.0, 100.0]
    assert Backoff(1.0, 100.0, lambda: 0.0).seconds(9, None) == 0.0


UNDECIDED = Undecided("not among those listed")


@pytest.mark.parametrize("family", [Family.WALLET, Family.INITIATION])
def test_a_look_up_that_cannot_decide_asks_a_person(family: Family) -> None:
    desk = Desk(family, was_sent=True)
    while not isinstance(desk.action, NeedsAttention):
        match desk.action:
            case Pause():
                desk.wait()
            case Send():
                desk.send(NO_FUNDS)
            case _:
                desk.look(UNDECIDED)
    assert desk.action.message.endswith("; not among those listed")
    assert desk.sends == (2 if family is Family.WALLET else 0), "undecided is never sent again"
    assert desk.now_s >= 1_000.0 + SETTLE_S


def test_an_initiation_that_may_be_on_its_way_is_looked_up_once_more() -> None:
    desk = Desk(Family.INITIATION)
    desk.send(NO_ANSWER)
    desk.wait()
    assert isinstance(desk.look(UNDECIDED), Pause)
    desk.wait()
    assert desk.look(Found()) == Done()


def test_a_first_refusal_that_no_look_up_decides_asks_a_person() -> None:
    desk = Desk(Family.INITIATION)
    desk.send(NO_FUNDS)
    assert desk.look(UNDECIDED) == NeedsAttention("no funds; not among those listed", "not_listed")


@pytest.mark.parametrize("family", [Family.WALLET, Family.INITIATION])
def test_after_an_abort_too(family: Family) -> None:
    desk = Desk(family, was_sent=True, is_aborted=True)
    assert isinstance(desk.look(UNDECIDED), Pause)
    desk.wait()
    assert desk.look(UNDECIDED) == NeedsAttention("an attempt had no answer; not among those listed", "not_listed")
    assert desk.sends == 0
