"""Whatever comes, a 4xx goes back: no 500, no traceback, no half-written books."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.effects.port import Request
from headrace.errors import InvalidValue
from headrace.sandbox import Sandbox, timestamps
from headrace.sandbox.books import Books
from headrace.sandbox.scripts import OVERDRAFT
from headrace.sandbox.store import Job, connect
from headrace.workflows.activities import Service as Name
from tests.sandbox.conftest import CountedIds, Ledger, ManualClock, Service
from tests.sandbox.test_payments import INITIATION, PAY_IN

SERVICES: tuple[Name, ...] = get_args(Name)
POSTS: list[tuple[Name, str]] = [
    ("ledger", "/v2/new"),
    ("ledger", "/v2/main/transactions"),
    ("ledger", "/v2/main/accounts/a/metadata"),
    ("wallets", "/wallets"),
    ("wallets", "/wallets/{wallet}/credit"),
    ("wallets", "/wallets/{wallet}/debit"),
    ("wallets", "/wallets/{wallet}/balances"),
    ("payments", "/payments"),
    ("payments", "/transfer-initiations"),
    ("payments", "/transfer-initiations/x/status"),
]
NAMES = [
    *("metadata", "postings", "script", "plain", "vars", "reference", "timestamp", "source", "destination", "amount"),
    *("asset", "name", "ledger", "sources", "balance", "balances", "pending", "description", "type", "identifier"),
    *("status", "scheme", "createdAt", "scheduledAt", "connectorID", "provider", "validated", "sourceAccountID"),
]
WORDS = ["", "world", "a", "USD/2", "USD/2 5", "main", "ACCOUNT", "WALLET", "PAY-IN", "2024-01-01T00:00:00Z", "\x00"]
LISTS = [
    "ledger /v2",
    "ledger /v2/main/transactions",
    "ledger /v2/main/accounts",
    "ledger /v2/main/aggregate/balances",
    "wallets /wallets",
    "wallets /transactions",
    "payments /payments",
    "payments /transfer-initiations",
]
TRANSFER = {"source": "world", "destination": "a", "amount": 1, "asset": "USD/2"}
SUBJECT = {"type": "ACCOUNT", "identifier": "world"}
MOVE = {"amount": {"amount": 1, "asset": "USD/2"}, "metadata": {"k": "v"}, "timestamp": "2024-01-01T00:00:00Z"}
VALID: list[tuple[Name, str, dict[str, Any]]] = [
    (
        "ledger",
        "/v2/main/transactions",
        {"postings": [TRANSFER], "metadata": {"k": "v"}, "timestamp": "2024-01-01T00:00:00Z"},
    ),
    (
        "ledger",
        "/v2/main/transactions",
        {"script": {"plain": OVERDRAFT, "vars": {"amount": "USD/2 1", "src": "a", "dst": "b"}}, "metadata": {}},
    ),
    ("wallets", "/wallets/{wallet}/credit", {**MOVE, "sources": [SUBJECT], "balance": "main"}),
    ("wallets", "/wallets/{wallet}/debit", {**MOVE, "destination": SUBJECT, "balances": ["main"], "pending": False}),
    ("payments", "/payments", PAY_IN),
    ("payments", "/transfer-initiations", INITIATION),
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10),
    st.integers(),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=8),
)
names = st.sampled_from(NAMES)
arbitrary = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=6)),
    max_leaves=12,
)


def spoilt(value: Any, draw: Callable[[Any], Any]) -> Any:
    """The value with one of its parts, at any depth, replaced."""
    if isinstance(value, dict | list) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        copy[key] = spoilt(value[key], draw)
        return copy
    return draw(arbitrary)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Sandbox, str]]:
    """One sandbox for all examples, with a wallet that has money, so that some requests succeed."""
    sandbox = Sandbox(None, clock=ManualClock(), ids=CountedIds(), seed=1)
    Ledger(sandbox, "ledger").post("/v2/main", {}, status=204)
    wallets = Service(sandbox, "wallets")
    wallet = wallets.post("/wallets", {"name": "w", "metadata": {}}, status=201)["data"]["id"]
    yield sandbox, wallet
    sandbox._store.close()


def assert_clean(sandbox: Sandbox, request: Request) -> None:
    response = sandbox.handle(request)
    assert 200 <= response.status < 500, (request, response)
    if response.status >= 400 and response.headers["content-type"] == "application/json":
        assert json.loads(response.body)["errorCode"] != "INTERNAL"


class TestArbitraryBodies:
    @settings(deadline=None)
    @given(st.sampled_from(POSTS), arbitrary)
    def test_json(self, shared: tuple[Sandbox, str], target: tuple[Name, str], body: object) -> None:
        sandbox, wallet = shared
        path = target[1].format(wallet=wallet)
        assert_clean(sandbox, Request(target[0], "POST", path, json.dumps(body).encode()))

    @settings(deadline=None)
    @given(st.sampled_from(POSTS), st.binary(max_size=60))
    def test_bytes(self, shared: tuple[Sandbox, str], target: tuple[Name, str], body: bytes) -> None:
        sandbox, wallet = shared
        assert_clean(sandbox, Request(target[0], "POST", target[1].format(wallet=wallet), body))

    @settings(deadline=None)
    @given(
        st.sampled_from(SERVICES), st.sampled_from(["GET", "POST", "PUT"]), st.text(max_size=40), st.text(max_size=10)
    )
    def test_paths(self, shared: tuple[Sandbox, str], service: Name, method: str, path: str, key: str) -> None:
        assert_clean(shared[0], Request(service, method, f"/{path}", b"{}", key))

    @settings(deadline=None, max_examples=300)
    @given(st.sampled_from(VALID), st.data())
    def test_valid_bodies_with_one_part_spoilt(
        self, shared: tuple[Sandbox, str], target: tuple[Name, str, Any], data: st.DataObject
    ) -> None:
        sandbox, wallet = shared
        body = json.dumps(spoilt(target[2], data.draw)).encode()
        assert_clean(sandbox, Request(target[0], "POST", target[1].format(wallet=wallet), body))

    @settings(deadline=None)
    @given(
        st.sampled_from(LISTS),
        st.dictionaries(
            st.sampled_from(["pageSize", "cursor", "query", "expand", "name", "walletID", "metadata[a]"]),
            st.one_of(
                st.text(max_size=20), arbitrary.map(json.dumps), arbitrary.map(lambda one: json.dumps({"$match": one}))
            ),
            max_size=3,
        ),
    )
    def test_queries(self, shared: tuple[Sandbox, str], target: str, query: dict[str, str]) -> None:
        service, path = target.split()
        text = "&".join(f"{quote(name)}={quote(value, errors='surrogatepass')}" for name, value in query.items())
        assert_clean(shared[0], Request(service, "GET", f"{path}?{text}"))  # type: ignore[arg-type]


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b'"text"',
            b'{"metadata":{},"metadata":{}}',
            b'{"metadata":{"a":NaN}}',
            b'{"metadata":{"a":"\\u0000"}}',
            b'{"metadata":{"a":"\\ud800"}}',
            b'{"metadata":{"\\udc00":"a"}}',
            b"\xff\xfe{\x00}\x00",
            b"\xef\xbb\xbf{}",
            b'{"metadata":' + b"[" * 100_000,
            b'{"metadata":' + b"[" * 65 + b"]" * 65 + b"}",
            b'{"metadata":{}} x',
            b'{"postings":{}}',
            b'{"postings":[1]}',
            b'{"postings":[{}]}',
            b'{"script":"send"}',
            b'{"script":{"plain":1}}',
            b'{"script":{"plain":"send","vars":[1]}}',
            b'{"reference":1,"metadata":{}}',
            b'{"metadata":[]}',
        ],
    )
    def test_refused(self, ledger: Ledger, body: bytes) -> None:
        assert ledger.post("/v2/main/transactions", body, status=400)["errorCode"] == "VALIDATION"

    @pytest.mark.parametrize("body", [b"{}", b'{"postings":[]}', b'{"script":{"plain":""}}', b'{"script":null}'])
    def test_nothing_to_book(self, ledger: Ledger, body: bytes) -> None:
        assert ledger.post("/v2/main/transactions", body, status=400)["errorCode"] == "NO_POSTINGS"

    @pytest.mark.parametrize("path", ["/v2/main/accounts/%00/metadata", "/v2/main/accounts/%ff/metadata", "/v2/%00"])
    def test_paths(self, ledger: Ledger, path: str) -> None:
        assert ledger.post(path, {}, status=400)["errorCode"] == "VALIDATION"


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("2020-01-02T03:04:05Z", "2020-01-02T03:04:05Z"),
            ("2020-01-02T03:04:05.120Z", "2020-01-02T03:04:05.12Z"),
            ("2020-01-02T03:04:05.1234565Z", "2020-01-02T03:04:05.123457Z"),
            ("2020-01-02T03:04:05.123456499Z", "2020-01-02T03:04:05.123456Z"),
            ("2020-12-31T23:59:59.9999999Z", "2021-01-01T00:00:00Z"),
            ("2020-01-02T03:04:05+02:30", "2020-01-02T00:34:05Z"),
            ("2020-01-02T03:04:05-02:30", "2020-01-02T05:34:05Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ],
    )
    def test_read_and_shown(self, text: str, shown: str) -> None:
        assert timestamps.shown(timestamps.microseconds(text)) == shown

    @pytest.mark.parametrize(
        "text",
        [
            "2020-01-02",
            "2020-01-02T03:04:05",
            "2020-01-02 03:04:05Z",
            "2020-1-2T03:04:05Z",
            "2020-02-30T00:00:00Z",
            "2020-01-02T24:00:01Z",
            "2020-01-02T03:04:60Z",
            "2020-01-02T03:04:05.Z",
            "2020-01-02T03:04:05z",
            "2020-01-02T03:04:05+24:00",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59.9999999Z",
            "\u0662020-01-02T03:04:05Z",
            "2020-01-02T03:04:05Z\n",
        ],
    )
    def test_no_times(self, text: str) -> None:
        with pytest.raises(ValueError):
            timestamps.microseconds(text)


class TestAccidents:
    def test_a_defect_is_a_500_of_that_request_alone(
        self, ledger: Ledger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def breaks(*_: Any) -> None:
            raise KeyError("planted")

        with monkeypatch.context() as patched, caplog.at_level(logging.CRITICAL):
            patched.setattr("headrace.sandbox.books.Books._write", breaks)
            assert ledger.send("world", "a", 5, key="k", status=500)["errorCode"] == "INTERNAL"
        assert ledger.send("world", "a", 5, key="k")["data"]["id"] == 1

    def test_a_transaction_that_the_database_gave_up_takes_its_batch_along(
        self, sandbox: Sandbox, ledger: Ledger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As with a full disk: SQLite rolls everything back by itself."""

        def gives_up(books: Books, *_: Any) -> None:
            books._connection.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")

        good = Job(ledger.request("POST", "/v2/other", {}), is_rehearsal=False)
        body = {"postings": [TRANSFER], "metadata": {}}
        bad = Job(ledger.request("POST", "/v2/main/transactions", body, "k"), is_rehearsal=False)
        with monkeypatch.context() as patched, caplog.at_level(logging.CRITICAL):
            patched.setattr(Books, "_write", gives_up)
            sandbox._store._perform([good, bad])
        assert [job.response.result(0).status for job in (good, bad)] == [500, 500]
        assert ledger.get("/v2/other", status=404)["errorCode"] == "NOT_FOUND"
        assert ledger.send("world", "a", 1, key="k")["data"]["id"] == 1

    def test_a_commit_that_fails_is_no_answer_of_success(
        self, sandbox: Sandbox, ledger: Ledger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = sandbox._store
        real = store._connection

        class Failing:
            in_transaction = True

            def execute(self, statement: str) -> Any:
                if statement == "COMMIT":
                    raise sqlite3.OperationalError("disk I/O error")
                return real.execute(statement)

        with monkeypatch.context() as patched, caplog.at_level(logging.CRITICAL):
            patched.setattr(store, "_connection", Failing())
            ledger.send("world", "a", 5, key="k", status=500)
        assert ledger.balance("a") == 0
        assert ledger.send("world", "a", 5, key="k")["data"]["id"] == 1

    async def test_a_database_that_cannot_commit_answers_500_and_recovers(
        self, make_sandbox: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("headrace.sandbox.store.BUSY_TIMEOUT_S", 0)
        path = tmp_path / "sandbox.db"
        ledger = Ledger(make_sandbox(path=path), "ledger")
        ledger.post("/v2/main", {}, status=204)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert ledger.send("world", "a", 5, key="k", status=500)["errorCode"] == "INTERNAL"
        assert ledger.get("/_healthcheck") == {"status": "ok"}
        assert ledger.balance("a") == 0
        other.execute("ROLLBACK")
        other.close()
        assert ledger.send("world", "a", 5, key="k")["data"]["id"] == 1

    def test_a_file_of_another_version_is_not_touched(self, tmp_path: Path) -> None:
        connection = connect(tmp_path / "sandbox.db")
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(InvalidValue, match="another version"):
            connect(tmp_path / "sandbox.db")

    def test_it_is_durable_and_exact(self, tmp_path: Path) -> None:
        connection = connect(tmp_path / "sandbox.db")
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        kinds = {row["name"]: row["type"] for row in connection.execute("PRAGMA table_info(volumes)")}
        assert (kinds["input"], kinds["output"]) == ("TEXT", "TEXT")
        connection.close()
