"""`headrace certificate`: made by a server, checked without one, by the command and by the script."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.certificates.envelope import sign
from headrace.cli.certificate import (
    _effect,  # pyright: ignore[reportPrivateUsage]
    _exception,  # pyright: ignore[reportPrivateUsage]
    _instance_facts,  # pyright: ignore[reportPrivateUsage]
    _period_lines,  # pyright: ignore[reportPrivateUsage]
)
from headrace.demo.stack import Stack
from tests.certificates.test_envelope import KEY, KID, PAYLOAD, SCRIPT, pinned
from tests.support.server import Server

Headrace = Callable[..., Any]

WORKFLOW = """\
name: certified
stages:
  - send:
      source: {account: {id: world, ledger: main}}
      destination: {account: {id: "users:jane", ledger: main}}
      amount: {asset: USD/2, amount: 4000}
"""


@pytest.fixture
def server(shared_server: Server) -> Server:
    stack = Stack(shared_server.url)
    stack.create_ledger("main")
    stack.close()
    return shared_server


def test_the_path_of_a_finance_colleague(headrace: Headrace, server: Server, tmp_path: Path) -> None:
    at = ("--server", server.url)
    workflow, keys, file = tmp_path / "w.yaml", tmp_path / "pinned.json", tmp_path / "c.jws"
    workflow.write_text(WORKFLOW)
    assert headrace("certificate", "keys", "--out", str(keys), *at).code == 0
    headrace("workflows", "create", str(workflow), *at)
    ran = headrace("workflows", "run", "certified", "--wait", "-q", *at)
    instance_id = ran.out.strip()
    made = headrace("certificate", "create", instance_id, "--out", str(file), *at)
    assert (made.code, made.err) == (0, "")
    assert f"Case         {instance_id}\n" in made.out and "  40.00 USD  issued from world\n" in made.out

    checked = headrace("certificate", "verify", str(file), "--keys", str(keys))
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.startswith(f"The signature is good.\nCase         {instance_id}\n")
    by_program = headrace("certificate", "verify", str(file), "--keys", str(keys), "-o", "json")
    payload = json.loads(by_program.out)["data"]["certificate"]
    script = [sys.executable, str(SCRIPT), str(file), str(keys)]
    by_script = subprocess.run(script, capture_output=True, check=True)
    assert json.loads(by_script.stdout) == payload and payload["case"] == instance_id

    piped = headrace("certificate", "create", instance_id, "--out", "-", *at)
    again = headrace("certificate", "verify", "-", "--keys", str(keys), stdin=piped.out)
    assert again.code == 0, again.err

    content = file.read_bytes()
    file.write_bytes(b"\n" + content + b"\r\n")
    assert headrace("certificate", "verify", str(file), "--keys", str(keys)).out == checked.out, "as mailed"
    file.write_bytes(content[:100] + (b"A" if content[100:101] != b"A" else b"B") + content[101:])
    forged = headrace("certificate", "verify", str(file), "--keys", str(keys))
    assert forged.code == 1 and "is not a genuine certificate" in forged.err
    assert subprocess.run(script, capture_output=True, check=False).returncode == 1


def test_a_case_that_was_taken_back_says_so(headrace: Headrace, server: Server, tmp_path: Path) -> None:
    at = ("--server", server.url)
    (tmp_path / "w.yaml").write_text(WORKFLOW.replace("certified", "wrong").replace("jane", "eve"))
    headrace("workflows", "create", str(tmp_path / "w.yaml"), *at)
    ids = [headrace("workflows", "run", "wrong", "--wait", "-q", *at).out.strip() for _ in range(2)]
    asked = headrace("instances", "undo", ids[0], "--reason", "the wrong user", *at)
    assert asked.code == 2 and "users:eve pays 40.00 USD to world (ledger main)" in asked.err, asked
    assert "  taken back 40.00 USD on ledger main\n" in asked.err and "no money moves" not in asked.err
    assert headrace("instances", "undo", ids[0], "--reason", "the wrong user", "--yes", *at).code == 0
    spent = {"source": "users:eve", "destination": "shop", "amount": 4000, "asset": "USD/2"}
    shown = ""
    for _ in range(100):  # until the undo has ended
        found = headrace("certificate", "create", ids[0], *at)
        shown = found.out
        if found.code == 0:
            break
    assert "Outcome      succeeded; all of it was taken back\n" in shown
    assert "Because      the wrong user\n" in shown and shown.index("Run ") < shown.index("Undo ")
    assert "world paid 40.00 USD to users:eve (transaction " in shown and "ledger main, taken\n     back)" in shown
    assert "  40.00 USD  of it taken back\n" in shown
    # the other one is spent, so its undo fails: the money is not back
    server.post("/api/ledger/v2/main/transactions", {"metadata": {}, "postings": [spent]})
    assert headrace("instances", "undo", ids[1], "--reason", "also wrong", "--yes", *at).code == 0
    for _ in range(100):
        found = headrace("certificate", "create", ids[1], *at)
        shown = found.out
        if found.code == 0:
            break
    assert "Outcome      succeeded; its undo FAILED: not all of it was taken back\n" in shown
    assert "of it taken back" not in shown


def test_who_is_paid_and_who_has_approved_is_printed() -> None:
    pays = {"provider": "DUMMY-PAY", "destination": "bank-7", "amount": 900_000, "asset": "USD/2"}
    books = {"standing": "booked", "initiation": "i", "status": "PROCESSED", "paid": 900_000}
    payout = {"activity": "CreateTransferInitiation", "stage": 0, "request": {"pays": pays}, "books": books}
    assert _effect(payout) == "DUMMY-PAY was asked to pay 9,000.00 USD to bank-7: PROCESSED, 9,000.00 USD paid"
    payout["books"] = {"standing": "attested"}
    assert _effect(payout).endswith("to bank-7: a person has called it booked; the books do not show it")
    decision = {"principal": "paul", "verdict": "approve", "reason": "looks right", "at": "2026-01-02T03:04:05Z"}
    plan = {"plan": "p1", "hash": "sha256:1", "isUsed": True, "decisions": [decision]}
    run = {"kind": "run", "startedBy": "ann", "requestedBy": ["ann", "tom"], "startedAt": "2026-01-02T03:05:00Z"}
    names = {"paul": "Paul Kuhn", "tom": "Tom"}
    assert _instance_facts({**run, "approvals": [plan]}, names) == [
        ("Run", "2026-01-02 03:05:00.000Z"),
        ("Started by", "ann"),
        ("Asked for by", "Tom (tom)"),
        ("Approved by", "Paul Kuhn (paul), 2026-01-02 03:04:05.000Z: looks right"),
        ("Plan", "p1, sha256:1"),
    ]
    undo = {**run, "kind": "undo", "reason": "the wrong seller", "endedAt": "2026-01-02T03:06:00Z", "requestedBy": []}
    assert _instance_facts(undo, {}) == [
        ("Undo", "2026-01-02 03:05:00.000Z to 2026-01-02 03:06:00.000Z"),
        ("Because", "the wrong seller"),
        ("Started by", "ann"),
        ("Approved by", "no person: no approval was asked for"),
    ]


def test_a_period_and_a_sample_of_its_cases(headrace: Headrace, server: Server, tmp_path: Path) -> None:
    at = ("--server", server.url)
    workflow, keys = tmp_path / "w.yaml", tmp_path / "pinned.json"
    period, case, other, empty = [str(tmp_path / f"{name}.jws") for name in ("period", "case", "other", "empty")]
    workflow.write_text(WORKFLOW.replace("certified", "sampled"))
    headrace("certificate", "keys", "--out", str(keys), *at)
    headrace("workflows", "create", str(workflow), *at)
    ids = [headrace("workflows", "run", "sampled", "--wait", "-q", *at).out.strip()]
    made = headrace("certificate", "create", "--from", "1h", "--to", "0s", "--full", "--out", period, *at)
    assert (made.code, made.err) == (0, "")
    assert max(len(line) for line in made.out.splitlines() if period not in line) <= 80, made.out
    for text in ("Period   ", "ended in it\n", "Ledgers  searched for what names Headrace", "issued from world\n"):
        assert text in made.out, made.out
    ids.append(headrace("workflows", "run", "sampled", "--wait", "-q", *at).out.strip())
    for instance_id, file in zip(ids, (case, other), strict=True):
        headrace("certificate", "create", instance_id, "--out", file, *at)
    script = [sys.executable, str(SCRIPT), period, str(keys)]

    checked = headrace("certificate", "verify", period, "--keys", str(keys), "--case", case)
    assert checked.code == 0 and checked.out.startswith("The signature is good.\nPeriod  "), checked.err
    assert subprocess.run([*script, case], capture_output=True, check=False).returncode == 0
    absent = headrace("certificate", "verify", period, "--keys", str(keys), "--case", case, "--case", other)
    assert absent.code == 1 and f"{other}: case {ids[1]} is not among its lines" in absent.err
    assert subprocess.run([*script, case, other], capture_output=True, check=False).returncode == 1

    end = json.loads(headrace("certificate", "verify", period, "--keys", str(keys), "-o", "json").out)
    to = end["data"]["certificate"]["to"]
    assert headrace("certificate", "create", "--from", to, "--to", "0s", "--out", empty, *at).code == 0
    chained = headrace("certificate", "verify", empty, "--keys", str(keys), "--previous", period)
    assert chained.code == 0 and "Previous  " in chained.out, chained.err
    exchanged = headrace("certificate", "verify", empty, "--keys", str(keys), "--previous", empty)
    assert exchanged.code == 1 and "is not the certificate that it names" in exchanged.err


def test_a_period_needs_both_ends_and_no_instance(headrace: Headrace) -> None:
    for options in ((), ("i", "--from", "1h", "--to", "0s"), ("--from", "1h"), ("--to", "1h"), ("i", "--full")):
        ran = headrace("certificate", "create", *options)
        assert ran.code == 2 and "give either INSTANCE, or --from and --to" in ran.err, options
    ran = headrace("certificate", "create", "--from", "1h", "--to", "soon")
    assert ran.code == 2 and "--to 'soon' is neither an age" in ran.err


def test_a_case_that_goes_on_is_refused(headrace: Headrace, server: Server, tmp_path: Path) -> None:
    at = ("--server", server.url)
    workflow = tmp_path / "w.yaml"
    workflow.write_text("name: waits\nstages:\n  - wait_event: {event: go}\n")
    headrace("workflows", "create", str(workflow), *at)
    instance_id = headrace("workflows", "run", "waits", "-q", *at).out.strip()
    refused = headrace("certificate", "create", instance_id, *at)
    assert refused.code == 1 and "has not ended" in refused.err


def test_keys_that_cannot_be_used_are_a_usage_error(headrace: Headrace, tmp_path: Path) -> None:
    file, keys = tmp_path / "c.jws", tmp_path / "pinned.json"
    file.write_text(sign(PAYLOAD, KID, KEY))
    for text, says in (
        ("7", "is not a document of keys"),
        ("{", "is not JSON"),
        (json.dumps(pinned()) * 2, "not JSON"),
    ):
        keys.write_text(text)
        ran = headrace("certificate", "verify", str(file), "--keys", str(keys))
        assert ran.code == 2 and says in ran.err, text
    assert headrace("certificate", "verify", str(tmp_path / "none"), "--keys", str(keys)).code == 2
    keys.write_text(json.dumps({"keys": []}))
    ran = headrace("certificate", "verify", str(file), "--keys", str(keys))
    assert ran.code == 1 and "is not among the pinned keys" in ran.err


def test_exceptions_are_sentences() -> None:
    place = {"instance": "i", "stage": 1, "asset": "USD/2"}
    assert [
        _exception({"kind": "stranded", "ledger": "main", "account": "b", "amount": 5, **place}),
        _exception({"kind": "stranded", "ledger": "main", "account": "b", "amount": -5, **place}),
        _exception({"kind": "payout", "status": "FAILED", "initiation": "t", **place}),
        _exception({"kind": "attested", "leg": "initiates", "amount": 5, "key": "k", **place}),
        _exception({"kind": "overwritten", "key": "k"}),
        _exception({"kind": "kept", "key": "headrace:i:3:0", "why": "the payout is paid"}),
        _exception({"kind": "not_excluded", "key": "k", "why": "wallets: more than was listed"}),
        _exception({"kind": "went_on", "case": "c", "endedAt": "2026-01-01T00:00:00.000000Z"}),
        _exception({"kind": "shared", "asset": "USD/2", "ledger": "main", "transaction": 5, "amount": 7}),
    ] == [
        "0.05 USD came to account b of ledger main and stayed there: stage 1 was not finished",
        "0.05 USD more have left account b of ledger main than came to it: stage 1 was not finished",
        "stage 1: the payout is FAILED",
        "stage 1: a person has called 0.05 USD booked; the books do not show it",
        "metadata that effect k wrote was changed since",
        "stage 3 was not taken back: the payout is paid",
        "k: wallets: more than was listed",
        "case c ended here and has gone on since: it counts later",
        "0.07 USD of transaction 5 of ledger main came in once: another case counts it",
    ]


def test_exceptions_of_a_period_fit_a_narrow_terminal() -> None:
    kept = {"kind": "kept", "key": "headrace:i:3:0", "why": "it funded the payout " + "b" * 20 + ", which is paid"}
    at = "2026-01-01T00:00:00.000000Z"
    period: dict[str, Any] = {"from": at, "to": at, "cases": 1, "previous": None, "full": False, "checkedAt": at}
    period |= {"open": {"count": 0, "oldest": None, "atRest": {}}, "release": "1", "journal": "j", "assets": {}}
    lines = _period_lines(period | {"exceptions": [kept], "lines": [{"case": "c" * 36, "exceptions": [kept]}]})
    shown = lines[lines.index("Exceptions") + 1 :]
    assert [line[:4].isspace() for line in shown] == [False, True, False, True] and max(map(len, shown)) <= 80, shown
