"""The file of rules about approvals: what is read of it, and what keeps a server from starting."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from headrace.composition.approvals import MAX_BYTES, read_rules
from headrace.errors import InvalidValue
from headrace.settings import Settings
from headrace.workflows.approval_rules import NO_RULES

GOOD = b"approvals:\n  - {id: big, workflow: 'payout-*', asset: EUR/2, over: 1000000, approvals: 2, expires: 72h}\n"


def refusal(path: Path) -> str:
    with pytest.raises(InvalidValue) as caught:
        read_rules(path)
    assert caught.value.field == "HEADRACE_APPROVAL_RULES"
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_without_a_file_there_are_no_rules() -> None:
    assert read_rules(None) is NO_RULES


def test_yaml_and_json_are_read_and_hashed_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(GOOD)
    found = read_rules(path)
    (rule,) = found.rules
    assert (rule.id, rule.workflow, rule.asset, rule.over, rule.approvals) == ("big", "payout-*", "EUR/2", 1_000_000, 2)
    assert found.hash == f"sha256:{sha256(GOOD).hexdigest()}"
    path.write_bytes(b'{"approvals": [{"id": "big", "asset": "EUR/2", "over": 1, "approvals": 1}]}')
    assert read_rules(path).rules[0].over == 1
    path.write_bytes(GOOD + b"# a remark\n")
    assert read_rules(path).hash != found.hash


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    assert "cannot be read: No such file or directory" in refusal(tmp_path / "nothing.yaml")
    assert "cannot be read: Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"approvals: [", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"approvals: !!python/object/apply:os.getcwd []", "is not YAML"),
        (b"[" * 100_000, "is not YAML"),
        (b"x" * (MAX_BYTES + 1), "has more than 1,048,576 bytes"),
        (b"", "must be an object with `approvals`"),
        (b"approvals: []", "approvals: must be a list of rules"),
        (GOOD.replace(b"asset", b"assets"), "approvals[0].assets: is not known"),
        (GOOD.replace(b"over: 1000000, ", b""), "approvals[0].over: is missing"),
        (GOOD.replace(b"1000000", b"1e6"), "approvals[0].over: "),
        (GOOD.replace(b"approvals: 2", b"approvals: 6"), "approvals[0].approvals: must be a whole number from 1 to 5"),
        (GOOD.replace(b"72h", b"72 hours"), "approvals[0].expires: "),
    ],
)
def test_a_file_that_is_not_good_names_the_place(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(content)
    text = refusal(path)
    assert says in text
    assert "\n" not in text, "one line"


def test_rules_without_authentication_are_refused() -> None:
    with pytest.raises(InvalidValue, match="HEADRACE_APPROVAL_RULES: needs authentication"):
        Settings.from_env({"HEADRACE_APPROVAL_RULES": "/etc/headrace/rules.yaml", "HEADRACE_AUTH": "none"})


@pytest.mark.parametrize(("auth", "more"), [("local", {}), ("oidc", {"HEADRACE_ISSUER": "https://issuer.example"})])
def test_rules_with_authentication_are_taken(auth: str, more: dict[str, str]) -> None:
    chosen = Settings.from_env({"HEADRACE_APPROVAL_RULES": "/srv/rules.yaml", "HEADRACE_AUTH": auth, **more})
    assert chosen.approval_rules == Path("/srv/rules.yaml")
