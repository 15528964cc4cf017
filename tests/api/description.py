"""Requests that schemathesis makes up from `/openapi.json`, sent to real servers, get answers as it describes them.

    python -m tests.api.description --cases 20000 --seed 1

Every operation has its share, 40 % of all for V1, 40 % for V2, 20 % for the rest. A quarter of a share are the values
at the edges of the schemas, a quarter breaks the schemas at random (where there is anything to break), the rest keeps
to them at random. More than half of the ids in them exist (`server_contents.py`). A third goes to a server with
authentication, with tokens good and bad. After 2,000 cases there are fresh servers. Nothing is shrunk: every finding is
kept with the request to repeat it by.

Exit 0: nothing found; 1: something was. It prints a JSON line with what it counted; `--record` appends that to
`description.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.case import adjust_urlencoded_payload
from schemathesis.specs.openapi import checks

from tests.api.request_generator import fill_in, is_tolerated
from tests.api.server_contents import PREFIX, ServerContents
from tests.support.server import Server

RECORD = Path(__file__).parent / "description.jsonl"
ROUND = 2_000
SHARES = {"v1": 0.4, "v2": 0.4, "beside": 0.2}
KINDS = {"edges": 0.25, "broken": 0.25, "kept": 0.5}
GUARDED = 1 / 3
SERVER = {"HEADRACE_WAIT_S": "0.2", "HEADRACE_RETRY_CAP_S": "1"}
"""A request that waits does so for this long."""

DECISIONS = ("approvePlan", "rejectPlan", "approveBatch", "rejectBatch")
"""Operations that not everyone with their scope may use."""
READ, WRITE, APPROVE = "orchestration:read", "orchestration:write", "orchestration:approve"


@dataclass
class Count:
    cases: int
    seed: int
    versions: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[str] = field(default_factory=Counter[str])
    kinds: Counter[str] = field(default_factory=Counter[str])
    operations: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    """By operation id: how often each status was answered."""
    server_errors: int = 0
    undocumented: int = 0
    others: int = 0
    repeats: int = 0
    """Answered from a stored answer."""
    findings: dict[str, str] = field(default_factory=dict[str, str])
    """By operation and what is wrong: one request, and all that is wrong with its answer."""
    took_s: float = 0.0

    @property
    def asked(self) -> int:
        return self.versions.total()

    @property
    def is_clean(self) -> bool:
        return not (self.server_errors or self.undocumented or self.others)

    def accepted(self, operation_id: str) -> int:
        return sum(count for status, count in self.operations[operation_id].items() if status.startswith(("2", "3")))

    def add(self, operation: Operation, kind: str, status: int) -> None:
        self.versions[operation.version] += 1
        self.kinds[kind] += 1
        self.statuses[str(status)] += 1
        self.operations.setdefault(operation.id, Counter())[str(status)] += 1

    def find(self, operation: Operation, what: str, shown: str) -> None:
        name = f"{operation.id}: {what}"
        if name not in self.findings:
            self.findings[name] = shown
            print(f"\n{name}\n{shown}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Operation:
    """One operation as schemathesis knows it."""

    id: str
    version: str
    scope: str | None
    statuses: frozenset[int]
    body: Any
    """The body's schema as one document; None where there is no body."""
    made: Any

    @property
    def is_breakable(self) -> bool:
        """Any text can be an id, and who asks for nothing else can do nothing wrong."""
        made = self.made
        numbers = any(row.definition["schema"]["type"] != "string" for row in made.path_parameters)
        return bool(numbers or made.body or made.headers or made.query)


@dataclass(frozen=True)
class Target:
    """A server, and who asks it: by name, the header, the scopes it gives."""

    url: str
    contents: ServerContents
    session: requests.Session
    callers: dict[str, tuple[str | None, frozenset[str]]]


# the description


def loaded(document: dict[str, Any], prefix: str) -> list[Operation]:
    """Without `default`: beside it every status is a documented one, and there would be nothing to check."""
    document = json.loads(json.dumps(document))
    for methods in document["paths"].values():
        for described in methods.values():
            del described["responses"]["default"]
    schema: Any = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://127.0.0.1{prefix}")
    schema.config.checks.negative_data_rejection.expected_statuses = ["4xx"]
    return [_operation(result.ok(), document["components"]) for result in schema.get_all_operations()]


def _operation(made: Any, components: dict[str, Any]) -> Operation:
    described = made.definition.raw
    bodies = described.get("requestBody", {}).get("content", {})
    is_v2, is_v1 = made.path.startswith("/v2/"), "x-required-scopes" in described and not made.path.startswith("/ext/")
    return Operation(
        described["operationId"],
        "v2" if is_v2 else "v1" if is_v1 else "beside",
        described.get("x-required-scopes", [None])[0],
        frozenset(map(int, described["responses"])),
        next(({**body["schema"], "components": components} for body in bodies.values()), None),
        made,
    )


def shares(operations: list[Operation], cases: int) -> dict[str, int]:
    """How often to ask for each operation: evenly within its version."""
    found: dict[str, int] = {}
    left = cases
    for name, share in SHARES.items():
        rows = [row.id for row in operations if row.version == name]
        if not rows:
            continue
        total = round(cases * share) if name != "beside" else left
        left -= total
        for number, row in enumerate(rows):
            found[row] = total // len(rows) + (number < total % len(rows))
    return found


# making cases


class Maker:
    """Cases of the operations at one of the two places where they are served."""

    def __init__(self, document: dict[str, Any], prefix: str, seed: int) -> None:
        self.operations = loaded(document, prefix)
        self.prefix = prefix
        self._seed = seed
        self._strategies: dict[tuple[str, str], Any] = {}

    def make(self, operation: Operation, kind: str, count: int, number: int, ask: Callable[[Any, int], None]) -> int:
        """Asks so many times, or less often where there is nothing more to ask. `number`: of the round."""
        if kind == "edges":
            return self._make_edges(operation, count, number, ask)
        if kind == "broken" and not operation.is_breakable:
            return 0
        asked = 0

        @hypothesis.seed(f"{self._seed}/{self.prefix}/{number}/{operation.id}/{kind}")
        @settings(
            max_examples=max(count, 1),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        )
        @given(st.tuples(self._strategy(operation, kind), st.integers(0, 2**64)))
        def each(drawn: tuple[Any, int]) -> None:
            nonlocal asked
            if asked < count:
                asked += 1
                ask(*drawn)

        if count:
            each()
        return asked

    def _strategy(self, operation: Operation, kind: str) -> Any:
        mode = GenerationMode.NEGATIVE if kind == "broken" else GenerationMode.POSITIVE
        key = operation.id, kind
        if key not in self._strategies:
            self._strategies[key] = operation.made.as_strategy(generation_mode=mode)
        return self._strategies[key]

    def _make_edges(self, operation: Operation, count: int, number: int, ask: Callable[[Any, int], None]) -> int:
        """Others in every round, until all of them have had their turn."""
        edges = self._edges(operation)
        start = (number * count + len(edges) // 2 * bool(self.prefix)) % max(1, len(edges))
        chosen = (edges[start:] + edges[:start])[:count]
        chance = random.Random(f"{self._seed}/{self.prefix}/{number}/{operation.id}/edges")
        for case in chosen:
            ask(case, chance.getrandbits(64))
        return len(chosen)

    def _edges(self, operation: Operation) -> list[Any]:
        """Always in the same order, and new: cases are changed before they are sent."""
        made, modes = operation.made, [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
        config = made.schema.config.generation_for(operation=made)
        made.schema.coverage_unexpected_methods_seen.clear()
        found = list(made.schema.iter_coverage_cases(made, generation_modes=modes, generation_config=config))
        for case in found:
            adjust_urlencoded_payload(case)
        found.sort(key=lambda case: (case.method, case.meta.phase.data.description or ""))
        random.Random(f"{self._seed}/{operation.id}").shuffle(found)
        return found


# asking


@dataclass
class Asker:
    """Sends cases to one server and judges the answers."""

    target: Target
    count: Count
    done: dict[str, Any] = field(default_factory=dict[str, Any])
    """By operation id: the latest case with a key that was carried out."""

    def ask(self, operation: Operation, kind: str, case: Any, salt: int) -> None:
        chance = random.Random(salt)
        is_again = operation.id in self.done and chance.random() < 0.1
        if is_again:
            case = self.done[operation.id]
        exists = not is_again and fill_in(case, operation.id, self.target.contents, chance)
        caller = chance.choice(list(self.target.callers))
        header, scopes = self.target.callers[caller]
        headers = {} if header is None else {"Authorization": header}
        try:
            answer = case.call(base_url=self.target.url, session=self.target.session, headers=headers)
        except Exception as error:
            self.count.add(operation, kind, 0)
            self.count.server_errors += 1
            self.count.find(operation, "no answer", f"{case!r}: {error!r}")
            return
        self.count.add(operation, kind, answer.status_code)
        if answer.status_code >= 500:
            self.count.server_errors += 1
            self.count.find(operation, f"status {answer.status_code}", _shown(case, answer))
        self._judge(operation, case, answer, scopes, exists)
        if operation.id.lower().endswith("deletetrigger") and self._is_still_there(case, answer):
            self.count.others += 1
            self.count.find(operation, "is still there after its deletion", _shown(case, answer))
        if answer.status_code == 201 and not is_again:
            self.target.contents.learn(operation.id, answer.json())
        if answer.status_code < 300 and "Idempotency-Key" in case.headers:
            self.done[operation.id] = case
            self.count.repeats += "idempotency-hit" in answer.headers

    def _is_still_there(self, case: Any, answer: Any) -> bool:
        return answer.status_code == 204 and self.target.contents.status_of(case.formatted_path) != 404

    def _judge(self, operation: Operation, case: Any, answer: Any, scopes: frozenset[str], exists: bool) -> None:
        wrong = list(_wrong_status(operation, answer, scopes, exists and case.meta.generation.mode.is_positive))
        if any(word.startswith("undocumented") for word in wrong):
            self.count.undocumented += 1
        try:
            case.validate_response(
                answer,
                checks=_checks(operation, case, answer.request.url),
                transport_kwargs={"base_url": self.target.url},
            )
        except FailureGroup as group:
            wrong += [f"{type(failure).__name__}: {failure.title}" for failure in group.exceptions]
            shown = "\n".join(str(failure) for failure in group.exceptions)
        else:
            shown = ""
        for what in wrong:
            self.count.others += not what.startswith("undocumented")
            self.count.find(operation, what, f"{shown}\n{_shown(case, answer)}")


def _wrong_status(operation: Operation, answer: Any, scopes: frozenset[str], must_exist: bool) -> Iterator[str]:
    status = answer.status_code
    if answer.request.method != operation.made.method.upper():
        if status != 405:
            yield f"undocumented: {answer.request.method} answers {status}"
        return
    if status not in operation.statuses:
        yield f"undocumented status {status}"
    if operation.scope is None:
        return
    wanted = None if operation.scope in scopes else 403 if scopes else 401
    if status == 403 and operation.id in DECISIONS and "reason" in (answer.json().get("details") or {}):
        return  # not this person: without a name, or the one that has asked for the run
    if status == 403 and operation.id == "redriveInstance" and APPROVE not in scopes and APPROVE in answer.text:
        return  # a person decides what is left out
    if (status if status in (401, 403) else None) != wanted:
        yield f"{status} to one who may do {sorted(scopes)}"
    elif must_exist and status == 404:
        yield "404 for what is there"


def _checks(operation: Operation, case: Any, sent_url: str) -> list[Any]:
    """Those of schemathesis but

    not_a_server_error            is counted by itself
    positive_data_acceptance      for reads only: no schema says which ids, cursors and expressions are good
    ignored_auth                  does not know OAuth2; `_wrong_status` asks for exactly 401 and 403
    missing_required_header       there is none
    ensure_resource_availability  wants links; `_wrong_status` does not take 404 for what is there
    use_after_free                a deleted workflow stays readable (decision Q6); `_is_still_there` asks for triggers
    object_level_authorization    all tokens are of one tenant
    max_response_time             the machine may be busy
    """
    found = [
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
        checks.unsupported_method,
        checks.allow_header_conformance,
        checks.status_code_conformance,
    ]
    if not is_tolerated(case, operation.id, operation.body, sent_url):
        found.append(checks.negative_data_rejection)
    if operation.made.method == "get" and "cursor" not in case.query and not _combines_searches(case.query):
        found.append(checks.positive_data_acceptance)
    return found


def _combines_searches(query: Any) -> bool:
    """Whether filters of searchInstances stand together that no index serves together; a schema cannot say which."""
    given = {name for name in ("workflowID", "status", "errorCode", "variable") if query.get(name)}
    return len(given) > 1 and ("variable" in given or {"errorCode", "status"} <= given)


def _shown(case: Any, answer: Any) -> str:
    return f"{case.as_curl_command()}\n{answer.status_code} {answer.content[:500]!r}"


# a run


def run(cases: int, seed: int, folder: Path, lie: Callable[[dict[str, Any]], None] | None = None) -> Count:
    """`lie` changes the description that is read from the server."""
    count = Count(cases, seed)
    started = time.monotonic()
    makers: list[Maker] = []
    for number in range((cases + ROUND - 1) // ROUND):
        size = min(ROUND, cases - number * ROUND)
        with ExitStack() as stack:
            targets = _targets(stack, folder / str(number))
            if not makers:
                document = requests.get(f"{targets[0].url}/openapi.json", timeout=10).json()
                if lie is not None:
                    lie(document)
                makers = [Maker(document, prefix, seed) for prefix in ("", PREFIX)]
            _round(makers, [Asker(target, count) for target in targets], size, number)
        print(f"{count.asked} of {cases} cases, {len(count.findings)} findings", file=sys.stderr, flush=True)
    count.took_s = round(time.monotonic() - started, 1)
    return count


def _round(makers: list[Maker], askers: list[Asker], size: int, number: int) -> None:
    plan = shares(makers[0].operations, size)
    for at, (maker, asker) in enumerate(zip(makers, askers, strict=True)):
        for operation in maker.operations:
            guarded = round(plan[operation.id] * GUARDED)
            _share(maker, asker, operation, guarded if at else plan[operation.id] - guarded, number)


def _share(maker: Maker, asker: Asker, operation: Operation, wanted: int, number: int) -> None:
    left = wanted
    for kind, part in KINDS.items():
        size = left if kind == "kept" else round(wanted * part)
        left -= maker.make(operation, kind, size, number, partial(asker.ask, operation, kind))


def _targets(stack: ExitStack, folder: Path) -> list[Target]:
    """At the root without authentication, and below the prefix with it."""
    folder.mkdir()
    open_server = stack.enter_context(Server(folder / "open", settings=SERVER))
    guarded = stack.enter_context(Server(folder / "guarded", settings=SERVER, arguments=["--auth"]))
    both = frozenset({READ, WRITE})
    secret = re.search(r"HEADRACE_CLIENT_SECRET=(\S+)", guarded.log())
    assert secret is not None
    full, writer, reader = (_bearer(guarded, secret[1], scope) for scope in (None, WRITE, READ))
    every = both | {APPROVE}
    callers: dict[str, tuple[str | None, frozenset[str]]] = {
        **{f"full {number}": (full, every) for number in range(5)},
        "writer": (writer, both),
        "reader": (reader, frozenset({READ})),
        "nobody": (None, frozenset()),
        "forger": (f"{writer[:-8]}AAAAAAAA", frozenset()),
    }
    return [
        _target(stack, open_server.url, {"anybody": (None, every)}, {}),
        _target(stack, guarded.url, callers, {"Authorization": full}),
    ]


def _bearer(server: Server, secret: str, scope: str | None) -> str:
    form = {"grant_type": "client_credentials", "client_id": "dev", "client_secret": secret}
    more = {} if scope is None else {"scope": scope}
    response = requests.post(f"{server.url}/api/auth/oauth/token", data={**form, **more}, timeout=10)
    return f"Bearer {response.json()['access_token']}"


def _target(
    stack: ExitStack, url: str, callers: dict[str, tuple[str | None, frozenset[str]]], headers: dict[str, str]
) -> Target:
    contents = ServerContents(url, headers)
    stack.callback(contents.close)
    session = stack.enter_context(requests.Session())
    return Target(url, contents, session, callers)


def line(count: Count) -> dict[str, Any]:
    """What is kept of a run."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "result": "clean" if count.is_clean else "findings",
        "seed": count.seed,
        "cases": count.asked,
        "versions": dict(count.versions),
        "kinds": dict(count.kinds),
        "operations": len(count.operations),
        "fewest": min(statuses.total() for statuses in count.operations.values()),
        "statuses": dict(sorted(count.statuses.items())),
        "accepted": {operation_id: count.accepted(operation_id) for operation_id in sorted(count.operations)},
        "repeats": count.repeats,
        "server_errors": count.server_errors,
        "undocumented": count.undocumented,
        "others": count.others,
        "findings": sorted(count.findings),
        "schemathesis": version("schemathesis"),
        "hypothesis": version("hypothesis"),
        "took_s": count.took_s,
        "commit": described.stdout.strip(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.api.description", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help=f"append the line to {RECORD.name}")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="description-") as folder:
        count = run(chosen.cases, chosen.seed, Path(folder))
    text = json.dumps(line(count))
    print(text, flush=True)
    if chosen.record:
        with RECORD.open("a") as record:
            record.write(f"{text}\n")
    return 0 if count.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
