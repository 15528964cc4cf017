"""Bugs of certificates: each would certify what no books show, or accept a file that no pinned key has signed."""

from __future__ import annotations

from tests.planted.bugs import Bug, Change

BOOKS = "src/headrace/certificates/books.py"
CONSERVATION = "src/headrace/certificates/conservation.py"
ENVELOPE = "src/headrace/certificates/envelope.py"
REPLAY = "src/headrace/certificates/replay.py"
STATEMENT = "src/headrace/certificates/statement.py"
UNDOING = "src/headrace/certificates/undoing.py"
SCRIPT = "tools/verify_certificate.py"
VERIFIER = "src/headrace/auth/verifier.py"
KEYS = "src/headrace/auth/signing.py"

PERIOD = "src/headrace/certificates/period.py"
PERIODS = "src/headrace/usecases/period_certificates.py"
PERIOD_CASES = "src/headrace/usecases/period_cases.py"
PERIOD_LISTING = "src/headrace/usecases/period_listing.py"
CERTIFICATES = "src/headrace/usecases/certificates.py"
APPROVALS = "src/headrace/certificates/approvals.py"

_PERIODS = "tests/contract/test_period_certificates.py"
_FILES_OF_PERIODS = "tests/certificates/test_periods.py"
_REQUESTERS = "tests/certificates/test_requesters.py"
_CHECKS = "tests/certificates/test_checks.py"
_UNDONE = "tests/certificates/test_undone.py"
_FILES = "tests/certificates/test_envelope.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


CERTIFYING: tuple[Bug, ...] = (
    _bug(
        "a certificate that sums one side of a bridge only",
        CONSERVATION,
        'elif leg != "inner":',
        'elif leg == "ingests":',
        _CHECKS,
    ),
    _bug(
        "a certificate that lets every send strand money",
        CONSERVATION,
        "may_strand = stage.error is not None or sums.has_failed_payout or has_undo",
        "may_strand = True",
        _CHECKS,
    ),
    _bug(
        "a certificate of an undo that has reversed something of another case",
        UNDOING,
        " if (ledger, number) not in transactions:\n",
        " if False:\n",
        _UNDONE,
    ),
    _bug(
        "a certificate that hides what an undo has left",
        UNDOING,
        "        if ended_well and not is_reversed and entry.effect.key not in kept:\n",
        "        if False:\n",
        _UNDONE,
    ),
    _bug(
        "a certificate that calls kept what was reverted",
        UNDOING,
        "        if is_reversed and entry.is_reverted and entry.effect.key in kept:\n",
        "        if False:\n",
        _UNDONE,
    ),
    _bug(
        "a certificate that does not look under the next key",
        BOOKS,
        "for ordinal in _next_ordinals(stage):",
        "for ordinal in ():",
        _CHECKS,
    ),
    _bug(
        "a certificate that forgets the wallets of a lost stage",
        BOOKS,
        "        yield from self._reach_of_names(reach)\n",
        "",
        _CHECKS,
    ),
    _bug(
        "a certificate that does not see a revert",
        BOOKS,
        'if transaction["reverted"] and place not in self._reverted:',
        "if False:",
        _CHECKS,
    ),
    _bug(
        "a certificate that does not look a refused effect up",
        BOOKS,
        "case Family.TRANSACTION | Family.INITIATION:",
        "case Family.INITIATION:",
        _CHECKS,
    ),
    _bug(
        "a certificate that takes any balance of a wallet",
        BOOKS,
        "wallets.difference(effect.request, item) or _other_balance(effect, item)",
        "wallets.difference(effect.request, item)",
        _CHECKS,
    ),
    _bug(
        "a certificate that does not compare the recorded requests",
        REPLAY,
        "    if not _is_same_request(asked, row.request):\n",
        "    if not row.request:\n",
        _CHECKS,
    ),
    _bug(
        "a certificate that does not compare the ends of stages",
        REPLAY,
        "    if runner.error != recorded.error:",
        "    if False:",
        _CHECKS,
    ),
    _bug("a certificate of a case that goes on", STATEMENT, "    refuse_open(case)\n", "", _CHECKS),
    _bug(
        "a certificate of a period that leaves a case out",
        PERIOD_CASES,
        "        has_gone_on = len(begun) < len(instances)",
        "        has_gone_on = len(begun) < len(instances) or len(cases.ended) == 1",
        _PERIODS,
    ),
    _bug(
        "a period whose end belongs to it",
        PERIOD_CASES,
        "if ended_at is None or ended_at >= period.to_at:",
        "if ended_at is None or ended_at > period.to_at:",
        _PERIODS,
    ),
    _bug(
        "a period that is not linked to the one before",
        PERIODS,
        "    previous = await ports.journal.certificate_before(period.from_at)\n",
        "    previous: Certificate | None = None\n",
        _PERIODS,
    ),
    _bug(
        "a period that does not declare what is open",
        PERIOD_CASES,
        "            cases.open.append(begun)",
        "            pass",
        _PERIODS,
    ),
    _bug(
        "a period that counts a case twice that goes on",
        PERIOD,
        '((line["totals"], 1), (line.get("counted", {}).get("totals", {}), -1))',
        '((line["totals"], 1),)',
        _PERIODS,
    ),
    _bug(
        "a period that forgets an abort whose effect settles later",
        PERIOD_CASES,
        '        ("canceled", always),\n',
        "",
        _PERIODS,
    ),
    _bug(
        "an end that was stored late is in no period",
        PERIOD_CASES,
        "(earlier.lacks(ids[0], ended_at) and not has_gone_on)",
        "False",
        _PERIODS,
    ),
    _bug(
        "an end that was stored late is looked for in the period alone",
        PERIOD_CASES,
        '        *(("ended", each) for each in earlier.periods),\n',
        "",
        _PERIODS,
    ),
    _bug(
        "a period looks at all that ended since the one before",
        PERIOD_CASES,
        "                if counts:\n",
        "                if True:\n",
        _PERIODS,
    ),
    _bug(
        "a period counts the instances of earlier ones that have gone on as its own",
        PERIOD_CASES,
        "counts = earlier.lacks(root_id, row.settled_at)",
        "counts = True",
        _PERIODS,
    ),
    _bug(
        "a case that ends while the lists are read is in none of them",
        PERIOD_CASES,
        '        ("running", always),\n        ("canceled", always),\n',
        '        ("ended", (period.from_at, 2**63)),\n        ("running", always),\n        ("canceled", always),\n',
        _PERIODS,
    ),
    _bug(
        "a period that is read before what is dated in it is stored",
        PERIODS,
        "while (wait_us := period.to_at",
        "if (wait_us := period.to_at",
        _PERIODS,
    ),
    _bug(
        "a reader takes any end before a period for one that was stored late",
        "src/headrace/certificates/envelope.py",
        'is_late is not (line["endedAt"] < payload["from"])',
        "False",
        _FILES_OF_PERIODS,
    ),
    _bug(
        "a script that takes any end before a period for one that was stored late",
        SCRIPT,
        'is_late is not (line["endedAt"] < payload["from"])',
        "False",
        _FILES_OF_PERIODS,
    ),
    _bug(
        "a full period that takes a reference for an effect on any ledger",
        PERIOD_LISTING,
        "            if reference_of(row) == (found.ledger, found.reference):",
        "            if row.key == found.reference and row.error is None:",
        "tests/api/test_period_certificates.py",
    ),
    _bug(
        "metadata of an open case explains a transaction of nobody",
        PERIOD_LISTING,
        ' or parts[3:] != ["transactions"]:',
        ":",
        "tests/api/test_period_certificates.py",
    ),
    _bug(
        "an approval that is dated before what it is about",
        "src/headrace/usecases/approvals.py",
        "    return max(times)\n",
        "    return ports.clock.now_at()\n",
        "tests/contract/test_approvals.py",
    ),
    _bug(
        "an approval of a batch that is dated before the batch",
        "src/headrace/usecases/batch_approvals.py",
        "    at = max([ports.clock.now_at(), row.created_at, *(each.at for each in decisions)])",
        "    at = ports.clock.now_at()",
        "tests/contract/test_batch_approvals.py",
    ),
    _bug(
        "a period that counts a shared payment for each case",
        PERIOD,
        "            if place in seen - own:\n",
        "            if False:\n",
        _FILES_OF_PERIODS,
    ),
    _bug(
        "a script that does not add the lines of a period up",
        SCRIPT,
        'if {asset: in_row(sums) for asset, sums in payload["assets"].items()} != total:',
        "if False:",
        _FILES_OF_PERIODS,
    ),
    _bug(
        "a full period that knows no transaction without a case",
        PERIOD_LISTING,
        "        elif not await has_effect(ports.journal, each):",
        "        elif False:",
        "tests/api/test_period_certificates.py",
    ),
    _bug(
        "four eyes of a certificate without the creator of the trigger",
        CERTIFICATES,
        "await journal.requesters(await journal.trigger_of(instance_id) or instance_id)",
        "await journal.requesters(instance_id)",
        _REQUESTERS,
    ),
    _bug(
        "a certificate of what a requester has approved",
        APPROVALS,
        "        if not asked.isdisjoint((decision.principal, *UNKNOWN)):\n",
        "        if False:\n",
        _REQUESTERS,
    ),
    _bug(
        "a person that starts what it has approved is refused a certificate",
        APPROVALS,
        "if instance is so_far[-1] and plan.asked_by is not None:",
        "if False:",
        _REQUESTERS,
    ),
    _bug(
        "a certificate of what the person had approved that asked for the plan",
        APPROVALS,
        "(asked - {instance.started_by}) | {plan.asked_by}",
        "asked - {instance.started_by}",
        _REQUESTERS,
    ),
    _bug(
        "a certificate of what the person has approved that had started it",
        APPROVALS,
        "asked.add(instance.started_by)",
        "pass",
        "tests/certificates/test_approvals.py",
    ),
    Bug(
        "a certificate whose own key is trusted",
        (
            Change(ENVELOPE, 'header.keys() != {"alg", "kid", "typ"} or ', ""),
            Change(ENVELOPE, "key = keys.get(kid)", 'key = _object(_decoded(parts[1])).get("jwk") or keys.get(kid)'),
        ),
        (_FILES,),
    ),
    _bug(
        "a script that takes two spellings of a certificate",
        SCRIPT,
        'if not content or base64.urlsafe_b64encode(content).rstrip(b"=") != part:',
        "if not content:",
        _FILES,
    ),
    _bug(
        "a certificate of a key that was retired before",
        ENVELOPE,
        'if retired_at is not None and str(payload["checkedAt"]) > str(retired_at):',
        "if False:",
        _FILES,
    ),
    _bug(
        "a key of certificates that keeps its private half",
        KEYS,
        "    if not rotation.keeps_private:",
        "    if False:",
        _FILES,
    ),
    _bug(
        "a token that a key of certificates has signed",
        VERIFIER,
        "if kid is not None and kid.startswith(KID_PREFIX):",
        "if False:",
        _FILES,
    ),
    _bug(
        "what an undo has left in part counts as taken back",
        "src/headrace/certificates/conservation.py",
        "        if has_undo and all(",
        "        if has_undo and any(",
        _UNDONE,
    ),
    _bug(
        "a certificate passes over a command that it does not know",
        REPLAY,
        "                    assert_never(command)\n",
        "                    runner.resume()\n",
        "tests/certificates/test_waits.py",
    ),
)
