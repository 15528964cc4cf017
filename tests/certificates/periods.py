"""Certificates of periods by chance: honest ones, mutants of one of their cases, and mutants of the file."""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from headrace.certificates.case import Case
from headrace.certificates.period import Counted, EndedCase, Finding, OpenCase, Period, period_payload
from headrace.certificates.statement import Issuer, certified, checked_text
from headrace.errors import NotCertifiable
from headrace.planning.canonical import sha
from headrace.planning.questions import Answer
from headrace.testing.virtual import START_AT
from tests.certificates.cases import HOUR, Ran, ran_case
from tests.certificates.mutants import of_case, refused

Json = dict[str, Any]
SIZE = 3
"""Cases of a period."""


def ended_case(case: Case, handle: Any) -> EndedCase:
    """A case as its period has it, from services that answer at once. Raises NotCertifiable."""
    asking = certified(case, Issuer("journal-1", "0.0.0", START_AT))
    answer: Any = None
    while True:
        try:
            question = asking.send(answer)
        except StopIteration as ended:
            found = ended.value
            return EndedCase.of(found.payload, case.instances[-1].ended_at or 0, found.ingested)
        assert question.request.method == "GET"
        answer = Answer(handle(question.request), START_AT)


def payload_of_cases(cases: Sequence[EndedCase], counted: dict[str, Counted] | None = None) -> Json:
    """The payload of a period that these cases ended in, with a period before it and an open case."""
    period = Period(START_AT, max(each.ended_at for each in cases) + 1)
    finding = Finding(list(cases), open=[OpenCase("open-1", START_AT + 5, {"USD/2": 7})])
    before = {
        "id": "c0",
        "sha": "sha256:0",
        "from": checked_text(START_AT - HOUR),
        "to": checked_text(START_AT),
    }
    return period_payload(period, finding, counted or {}, before, Issuer("journal-1", "0.0.0", period.to_at + HOUR))


@contextlib.contextmanager
def some_cases(seed: int) -> Generator[list[Ran]]:
    """Cases that have ended, each in a world of its own."""
    with contextlib.ExitStack() as opened:
        found: list[Ran] = []
        number = seed * 100
        while len(found) < SIZE:
            ran = opened.enter_context(ran_case(number))
            number += 1
            if ran is not None and ran.case.root.id not in [each.case.root.id for each in found]:
                found.append(ran)
        yield found


def period_of(rans: Sequence[Ran], certify: Callable[[int, Ran], EndedCase]) -> Json:
    return payload_of_cases([certify(number, each) for number, each in enumerate(rans)])


def honest_period(rans: Sequence[Ran]) -> Json:
    return period_of(rans, lambda _, ran: ended_case(ran.case, ran.handle))


def mutated_periods(count: int, first: int = 0) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Put at least this many mutants of cases into periods. Returns how they were refused, and those that were not."""
    counts: Counter[tuple[str, str]] = Counter()
    failures: list[str] = []
    seed = first
    while counts.total() + len(failures) < count:
        with some_cases(seed) as rans:
            place = seed % SIZE
            for mutant in of_case(rans[place], seed):

                def certify(number: int, ran: Ran, mutant: Any = mutant, place: int = place) -> EndedCase:
                    if number != place:
                        return ended_case(ran.case, ran.handle)
                    return refused(ran, mutant, ended_case)  # pyright: ignore[reportReturnType, reportArgumentType]

                try:
                    period_of(rans, certify)
                except NotCertifiable as error:
                    counts[mutant.name, error.code] += 1
                else:
                    failures.append(f"seed {seed}: a period with {mutant.name} was certified")
        seed += 1
    return counts, failures


# mutants of the file, which its signer has signed


def _with_lines(payload: Json, lines: list[Json]) -> Json:
    return {**payload, "lines": lines, "linesSha": sha(lines), "cases": len(lines)}


def line_left_out(payload: Json) -> Json:
    return {**payload, "lines": payload["lines"][1:]}


def line_left_out_of_the_header(payload: Json) -> Json | None:
    """The sums still have it, unless it moved nothing."""
    return _with_lines(payload, payload["lines"][1:]) if _moves(payload["lines"][0]) else None


def _moves(line: Json) -> bool:
    return any(
        any((*sums["bridge"].values(), *(value for name, value in sums.items() if name != "bridge")))
        for sums in line["totals"].values()
    )


def line_twice(payload: Json) -> Json:
    return _with_lines(payload, [payload["lines"][0], *payload["lines"]])


def lines_in_another_order(payload: Json) -> Json:
    return _with_lines(payload, payload["lines"][::-1])


def other_sha_of_a_line(payload: Json) -> Json:
    lines = copy.deepcopy(payload["lines"])
    lines[-1]["sha"] = "sha256:0"
    return {**payload, "lines": lines}


def line_that_does_not_balance(payload: Json) -> Json | None:
    return _in_totals(payload, "out")


def line_with_other_sums(payload: Json) -> Json | None:
    return _in_totals(payload, "sent")


def _in_totals(payload: Json, name: str) -> Json | None:
    lines = copy.deepcopy(payload["lines"])
    for line in lines:
        for sums in line["totals"].values():
            sums[name] += 1
            return _with_lines(payload, lines)
    return None


def other_sums(payload: Json) -> Json | None:
    assets = copy.deepcopy(payload["assets"])
    for sums in assets.values():
        sums["issued"] += 1
        return {**payload, "assets": assets}
    return None


def an_asset_more(payload: Json) -> Json:
    zero = dict.fromkeys(("sent", "takenBack", "in", "out", "issued", "retired", "stranded", "attested"), 0)
    return {**payload, "assets": {**payload["assets"], "GOLD": {**zero, "bridge": {"in": 0, "out": 0}}}}


def undeclared_stranded(payload: Json) -> Json | None:
    lines = copy.deepcopy(payload["lines"])
    for line in lines:
        rest = [each for each in line.get("exceptions", []) if each["kind"] != "stranded"]
        if len(rest) < len(line.get("exceptions", [])):
            line["exceptions"] = rest
            return _with_lines(payload, lines)
    return None


def counted_and_not_taken_off(payload: Json) -> Json | None:
    lines = copy.deepcopy(payload["lines"])
    for line in lines:
        if _moves(line):
            line["counted"] = {"certificate": "c0", "totals": line["totals"]}
            return _with_lines(payload, lines)
    return None


def ended_at_the_end(payload: Json) -> Json:
    lines = copy.deepcopy(payload["lines"])
    lines[-1]["endedAt"] = payload["to"]
    return _with_lines(payload, lines)


def ended_before_and_not_declared(payload: Json) -> Json:
    lines = copy.deepcopy(payload["lines"])
    lines[0]["endedAt"] = payload["previous"]["from"]
    return _with_lines(payload, lines)


def declared_as_late_in_time(payload: Json) -> Json:
    lines = copy.deepcopy(payload["lines"])
    lines[0]["exceptions"] = [*lines[0].get("exceptions", []), {"kind": "late"}]
    return _with_lines(payload, lines)


def late_with_no_period_before(payload: Json) -> Json:
    late = declared_as_late_in_time(ended_before_and_not_declared(payload))
    return {**late, "previous": None}


def made_before_its_end(payload: Json) -> Json:
    return {**payload, "checkedAt": payload["lines"][-1]["endedAt"]}


def previous_that_overlaps(payload: Json) -> Json:
    return {**payload, "previous": {**payload["previous"], "to": payload["to"]}}


def other_kind(payload: Json) -> Json:
    return {**payload, "kind": "year"}


FILES: tuple[Callable[[Json], Json | None], ...] = (
    line_left_out,
    line_left_out_of_the_header,
    line_twice,
    lines_in_another_order,
    other_sha_of_a_line,
    line_that_does_not_balance,
    line_with_other_sums,
    other_sums,
    an_asset_more,
    undeclared_stranded,
    counted_and_not_taken_off,
    ended_at_the_end,
    ended_before_and_not_declared,
    declared_as_late_in_time,
    late_with_no_period_before,
    made_before_its_end,
    previous_that_overlaps,
    other_kind,
)


def file_mutants(payload: Json) -> Generator[tuple[str, Json]]:
    for change in FILES:
        changed = change(payload)
        if changed is not None and changed != payload:
            yield change.__name__, changed


def counted_again(case: EndedCase, random: Random) -> tuple[EndedCase, Counted]:
    """The case as it goes on, and the line that an earlier certificate had of it."""
    (line,) = payload_of_cases([case])["lines"]
    return replace(case, ended_at=case.ended_at + random.randrange(1, HOUR)), Counted("c0", line)
