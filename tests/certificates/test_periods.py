"""The certificate of a period: its lines and sums, and files that do not hold, which both checkers refuse."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from headrace.certificates.conservation import Totals
from headrace.certificates.envelope import require_line, require_previous, sign, verify
from headrace.certificates.period import LATE, Counted, EndedCase, Place, lines_of, sums_of
from headrace.errors import InvalidValue
from headrace.planning.canonical import sha
from headrace.testing.virtual import START_AT
from tests.certificates.__main__ import RESULTS, is_of_periods
from tests.certificates.cases import Ran
from tests.certificates.periods import (
    FILES,
    SIZE,
    counted_again,
    ended_case,
    file_mutants,
    honest_period,
    mutated_periods,
    payload_of_cases,
    some_cases,
)
from tests.certificates.test_envelope import KEY, KID, both, by_script, pinned, script

Json = dict[str, Any]
PLACE: Place = ("payments", 5)


def signed(payload: Json) -> bytes:
    return sign(payload, KID, KEY).encode()


def totals(*, came_in: int = 0, sent: int = 0) -> Json:
    sums = Totals(sent=sent, external_in=came_in, bridge_out=came_in)
    return {"USD/2": sums.shown()}


def ingesting(name: str, ended_at: int, amount: int = 300) -> EndedCase:
    """A case that sends from a payment of 300."""
    ingested: dict[Place, tuple[str, int]] = {PLACE: ("USD/2", amount)} if amount else {}
    return EndedCase(name, START_AT + ended_at, f"sha256:{name}", totals(came_in=amount), [], ingested)


def test_a_payment_that_several_cases_share_counts_once() -> None:
    lines = lines_of([ingesting("b", 2), ingesting("a", 1), ingesting("c", 3)], {})
    assert [line["case"] for line in lines] == ["a", "b", "c"], "by the time of their ends"
    assert [line["totals"]["USD/2"]["in"] for line in lines] == [300, 0, 0]
    shared = {"kind": "shared", "asset": "USD/2", "ledger": "payments", "transaction": 5, "amount": 300}
    assert [[each["transaction"] for each in line.get("ingested", [])] for line in lines] == [[5], [], []]
    assert "exceptions" not in lines[0] and lines[1]["exceptions"] == lines[2]["exceptions"] == [shared]
    assert sums_of(lines) == totals(came_in=300)
    assert both(signed(payload_of_cases([ingesting("a", 1), ingesting("b", 2)])), pinned()) == ""


def test_a_payment_that_an_earlier_line_left_to_another_case_is_not_counted_later() -> None:
    first = lines_of([ingesting("a", 1), ingesting("b", 2)], {})
    counted = {line["case"]: Counted("c1", line) for line in first}
    later = lines_of([ingesting("b", 9)], {"b": counted["b"]})
    assert sums_of(later) == totals()
    both_later = lines_of([ingesting("b", 8), ingesting("a", 9)], counted)
    assert sums_of([*first, *both_later]) == totals(came_in=300)
    new = lines_of([ingesting("new", 7), ingesting("a", 9)], {"a": counted["a"]})
    assert sums_of([*first, *new]) == totals(came_in=300), "the case that counted it before counts it still"
    begun = {"b": Counted("c1", lines_of([ingesting("b", 2, amount=0)], {})[0]), "a": counted["a"]}
    assert sums_of([*first, *lines_of([ingesting("b", 8), ingesting("a", 9)], begun)]) == totals(came_in=300)


def test_what_was_counted_is_taken_off() -> None:
    with some_cases(1) as rans:
        payload = honest_period(rans)
        again, counted = counted_again(ended(rans[0]), Random(1))
    later = payload_of_cases([again], {again.id: counted})
    assert all(not any(part for part in flat(sums)) for sums in later["assets"].values()), "nothing has changed"
    assert later["lines"][0]["counted"] == {"certificate": "c0", "totals": counted.line["totals"]}
    for each in (payload, later):
        assert both(signed(each), pinned()) == ""
        assert by_script(signed(each), pinned()) == each == verify(signed(each), pinned())


def test_a_case_that_is_declared_as_late_ended_before_the_period() -> None:
    late = ingesting("late", -5)
    late.exceptions.append({"kind": LATE})
    payload = payload_of_cases([late, ingesting("in-time", 5)])
    assert [line["case"] for line in payload["lines"]] == ["late", "in-time"]
    assert both(signed(payload), pinned()) == ""
    assert by_script(signed(payload), pinned()) == payload == verify(signed(payload), pinned())


def flat(sums: Json) -> list[int]:
    return [*sums["bridge"].values(), *(value for name, value in sums.items() if name != "bridge")]


def ended(ran: Ran) -> EndedCase:
    return ended_case(ran.case, ran.handle)


def test_a_file_that_does_not_hold_is_refused_though_it_is_signed() -> None:
    seen: set[str] = set()
    for seed in range(4):
        with some_cases(seed) as rans:
            payload = honest_period(rans)
        assert both(signed(payload), pinned()) == ""
        for name, mutant in file_mutants(payload):
            assert both(signed(mutant), pinned()) == "certificate", name
            seen.add(name)
    assert len(seen) >= 13, seen


def test_a_flipped_bit_is_refused() -> None:
    content = signed(payload_of_cases([ingesting("a", 1), ingesting("b", 2)]))
    random = Random(7)
    for _ in range(60):
        changed = bytearray(content)
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        assert both(bytes(changed), pinned()) == "certificate"


def test_a_mutant_of_one_case_refuses_its_period() -> None:
    counts, failures = mutated_periods(40, first=3)
    assert failures == [] and counts.total() >= 40


def test_the_full_run_that_is_kept_refused_every_mutant_and_no_honest_period() -> None:
    lines = [line for line in RESULTS.read_text("utf-8").splitlines() if is_of_periods(line)]
    kept, mutants, files, *kinds = [json.loads(line) for line in lines]
    assert kept["periods"] >= 100 and kept["cases"] == SIZE * kept["periods"] and kept["refused"] == 0
    assert mutants["period_mutants"] >= 300 and mutants["certified"] == 0
    assert files["period_files"] >= 1_200 and files["accepted"] == 0
    assert {each["period_file"] for each in kinds if "period_file" in each} == {each.__name__ for each in FILES}
    assert len({each["period_mutant"] for each in kinds if "period_mutant" in each}) > 30


@pytest.mark.parametrize("text", ['\x00\x1f\x7f"\\/\b\f\n\r\t', "\u20ac\ud7ff\ue000\U0001f4b6", "b\u00fcro"])
def test_the_script_hashes_as_the_product_does(text: str) -> None:
    for value in (text, {text: [1, 10**30, -7, None, True, {}]}, {"\U0001f4b6": 1, "\uffff": 2, "a": {"b": []}}):
        assert script.sha(value) == sha(value)


def accepted(check: Any) -> bool:
    try:
        check()
    except (InvalidValue, script.NotGenuine):
        return False
    return True


def test_the_script_agrees_on_lines_and_on_what_came_before(tmp_path: Path) -> None:
    with some_cases(2) as rans:
        cases = [ran.certify() for ran in rans]
        period = payload_of_cases([ended(ran) for ran in rans[:2]])
    first = payload_of_cases([ingesting("a", 1)])
    signed_once = signed(first)
    period["previous"]["sha"] = f"sha256:{sha256(signed_once).hexdigest()}"
    for payload, is_in in (
        (cases[0], True),
        (cases[1], True),
        (cases[2], False),
        ({**cases[0], "journal": "other"}, False),
    ):
        assert accepted(lambda p=payload: require_line(period, p)) is is_in
        assert accepted(lambda p=payload: script.check_line(period, p)) is is_in
    moved = {**cases[0], "checkedAt": "2030-01-01T00:00:00.000000Z", "release": "9.9.9"}
    assert accepted(lambda: require_line(period, moved)), "when it was checked is not what it states"
    other = signed(first)
    for content, is_before in ((signed_once, True), (signed_once + b"\n", True), (other, other == signed_once)):
        assert accepted(lambda c=content: require_previous(period, c, first)) is is_before
        assert accepted(lambda c=content: script.check_previous(period, c, first)) is is_before

    files = {"period": signed(period), "case": signed(cases[0]), "absent": signed(cases[2]), "before": signed_once}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "keys").write_text(json.dumps(pinned()), "utf-8")
    for names, code in ((("case", "before"), 0), (("absent",), 1), (("period",), 1), (("before", "before"), 1)):
        assert script.main([str(tmp_path / name) for name in ("period", "keys", *names)]) == code, names
