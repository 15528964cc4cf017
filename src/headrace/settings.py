"""What an operator may choose, read once from the environment. A bad value names its variable and what it may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headrace.errors import InvalidValue
from headrace.money import ledger_name

PREFIX = "HEADRACE_"

TOKEN_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
    *("EdDSA", "Ed25519"),
)
"""Signatures a token may have: asymmetric ones only."""

_SCHEMA_VERSION = re.compile(r"[A-Za-z0-9._+-]{1,255}", re.ASCII)

Reader = Callable[[str], Any]
"""Makes a setting's value from its text; raises ValueError with what the text should be."""


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL such as http://127.0.0.1:3068")
    if not text.isprintable() or " " in text:
        raise ValueError("a URL without blanks and line ends")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a URL without credentials, query or fragment")
    return text.rstrip("/")


def _issuer(text: str) -> str:
    """As it is: an issuer's name is compared character by character, its last slash too."""
    _url(text)
    return text


def _text(text: str) -> str:
    """One line without blanks around it: a line end at the end of a secret would be part of the secret."""
    if text != text.strip() or not text.isprintable():
        raise ValueError(
            "one line without blanks around it; a file and `kubectl create secret --from-file` may bring a line end: "
            'strip it, as in "$(cat FILE)" or `printf %s`'
        )
    return text


def _broker(text: str) -> str:
    """`nats://host:port` or `kafka://host:port`, several hosts by commas."""
    scheme, _, hosts = text.rstrip("/").partition("://")
    if scheme not in ("nats", "kafka") or not hosts or any(not _is_host(host) for host in hosts.split(",")):
        raise ValueError("a URL such as nats://127.0.0.1:4222 or kafka://127.0.0.1:9092, without credentials")
    return text.rstrip("/")


def _is_host(text: str) -> bool:
    parts = urlsplit(f"//{text}")
    try:
        return bool(parts.hostname) and parts.port != 0 and "@" not in text and parts.netloc == text
    except ValueError:
        return False


def _sasl(text: str) -> str:
    if text.upper() not in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        raise ValueError("PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    return text.upper()


def _signing(text: str) -> str:
    if text not in ("ES256", "RS256"):
        raise ValueError("ES256 or RS256")
    return text


def _texts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _ledger_schemas(text: str) -> tuple[tuple[str, str], ...]:
    """`ledger=version` by commas. A version is what the ledger calls it, such as v1.0.0."""
    wanted = ValueError("ledger=version by commas, such as main=v1,fees=v2.0.0, each ledger once")
    schemas: dict[str, str] = {}
    for part in _texts(text):
        ledger, _, version = part.partition("=")
        try:
            ledger_name(ledger, "ledger")
        except InvalidValue:
            raise wanted from None
        if ledger in schemas or not _SCHEMA_VERSION.fullmatch(version):
            raise wanted
        schemas[ledger] = version
    return tuple(schemas.items())


def _algorithms(text: str) -> tuple[str, ...]:
    chosen = _texts(text)
    if not chosen or any(name not in TOKEN_ALGORITHMS for name in chosen):
        raise ValueError(f"some of {', '.join(TOKEN_ALGORITHMS)}, by commas")
    return chosen


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _whole(minimum: int, maximum: int) -> Reader:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 12) or not minimum <= int(text) <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum}")
        return int(text)

    return read


def _seconds(minimum: float, maximum: float) -> Reader:
    def read(text: str) -> float:
        wanted = ValueError(f"seconds from {minimum:g} to {maximum:g}")
        try:
            value = float(text)
        except ValueError:
            raise wanted from None
        if not minimum <= value <= maximum:
            raise wanted
        return value

    return read


def _flag(text: str) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise ValueError("true or false")
    return words[text.lower()]


def _one_of(*words: str) -> Reader:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text.lower()

    return read


def _from(reader: Reader, about: str) -> dict[str, Any]:
    return {"reader": reader, "about": about}


_optional_url = _from(_url, "Root of this service, instead of the one at the stack's URL.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is read from `HEADRACE_` and its name in capitals. Lengths are seconds, sizes bytes."""

    host: str = field(default="127.0.0.1", metadata=_from(_text, "Address the server listens at."))
    port: int = field(default=8484, metadata=_from(_whole(0, 65_535), "Port it listens at; 0: a free one."))
    data: Path = field(default=Path(".headrace"), metadata=_from(_path, "Folder of the journal."))

    stack_url: str | None = field(default=None, metadata=_from(_url, "Root of the stack: /api/ledger and so on."))
    ledger_url: str | None = field(default=None, metadata=_optional_url)
    wallets_url: str | None = field(default=None, metadata=_optional_url)
    payments_url: str | None = field(default=None, metadata=_optional_url)
    ledger_schemas: tuple[tuple[str, str], ...] = field(
        default=(),
        metadata=_from(_ledger_schemas, "Schema version sent with writes to a ledger: main=v1,fees=v2."),
    )
    stack_client_id: str | None = field(default=None, metadata=_from(_text, "OAuth2 client of our calls downstream."))
    stack_client_secret: str | None = field(default=None, repr=False, metadata=_from(_text, "That client's secret."))
    stack_token_url: str | None = field(default=None, metadata=_from(_url, "Where that client gets its tokens."))

    allowed_hosts: tuple[str, ...] = field(
        default=(),
        metadata=_from(
            _texts,
            "Without authentication on a loopback address: host names that are accepted beside loopback ones, by "
            "commas; for a reverse proxy on the same machine.",
        ),
    )

    auth: str | None = field(
        default=None,
        metadata=_from(_one_of("none", "local", "oidc"), "Who gets in: anybody, clients of ours, or an issuer's."),
    )
    issuer: str | None = field(
        default=None,
        metadata=_from(_issuer, "Issuer of the tokens; with `local` our own name, default the address served at."),
    )
    allow_plain_issuer: bool = field(
        default=False, metadata=_from(_flag, "Take keys from an http:// issuer that is not on this machine.")
    )
    audience: str | None = field(
        default=None, metadata=_from(_text, "What a token's `aud` must hold; unset: anything.")
    )
    token_algorithms: tuple[str, ...] = field(
        default=("RS256", "ES256"), metadata=_from(_algorithms, "Signatures a token may have, by commas.")
    )
    clients: Path | None = field(
        default=None, metadata=_from(_path, "File of the clients; default clients.json in the data folder.")
    )
    signing_algorithm: str = field(
        default="ES256", metadata=_from(_signing, "How our own tokens are signed: ES256 or RS256.")
    )
    token_life_s: int = field(default=3_600, metadata=_from(_whole(120, 86_400), "Life of our own tokens."))
    key_days: int = field(default=30, metadata=_from(_whole(1, 3_650), "Days a signing key of ours is used."))
    key_overlap_days: int = field(
        default=7, metadata=_from(_whole(2, 3_650), "Days a key that is used no more is still published.")
    )

    settle_s: float = field(
        default=30.0, metadata=_from(_seconds(0, 3_600), "Time a refusal after an unknown attempt must stand (M2b).")
    )
    timeout_s: float = field(default=30.0, metadata=_from(_seconds(0.1, 600), "Time-out of one attempt downstream."))
    concurrency: int = field(
        default=64,
        metadata=_from(
            _whole(1, 10_000),
            "Ceiling of the requests under way at once, for each service. The limit starts at 8 and adapts below it.",
        ),
    )
    retry_base_s: float = field(default=1.0, metadata=_from(_seconds(0.001, 3_600), "Longest pause after attempt 1."))
    retry_cap_s: float = field(default=100.0, metadata=_from(_seconds(0.001, 86_400), "Longest pause ever."))

    wait_s: float = field(default=50.0, metadata=_from(_seconds(0, 600), "Longest that `wait=true` waits."))
    max_body_bytes: int = field(default=1 << 20, metadata=_from(_whole(1_024, 1 << 26), "Longest JSON body."))
    max_yaml_bytes: int = field(default=256 << 10, metadata=_from(_whole(1_024, 1 << 24), "Longest YAML body."))
    remember_days: int = field(
        default=7, metadata=_from(_whole(7, 3_650), "Days (of serving) a caller's Idempotency-Key is kept.")
    )

    batch_units: int = field(default=256, metadata=_from(_whole(1, 10_000), "Units in one commit at most."))
    queue_units: int = field(default=20_000, metadata=_from(_whole(1, 1_000_000), "Units waiting at most."))
    commit_timeout_s: float = field(default=4.0, metadata=_from(_seconds(0.1, 60), "Longest wait for the database."))
    stop_s: float = field(default=10.0, metadata=_from(_seconds(0, 600), "Time attempts under way get at a stop."))

    max_triggers: int = field(default=10_000, metadata=_from(_whole(1, 1_000_000), "Triggers there may be at once."))
    events_at_once: int = field(default=256, metadata=_from(_whole(1, 10_000), "Events taken to triggers at once."))
    keep_events_days: int = field(
        default=30,
        metadata=_from(_whole(1, 36_500), "Days (of serving) an event's envelope is kept; its identity stays."),
    )
    link_origins: tuple[str, ...] = field(
        default=(), metadata=_from(_texts, "Origins beside the stack's that `link()` may ask, by commas.")
    )
    link_private: bool = field(
        default=False, metadata=_from(_flag, "Let names of these origins lead to private addresses.")
    )

    sandbox_ledger: str = field(
        default="2.4", metadata=_from(_one_of("2.4", "2.2"), "Ledger release that the sandbox of `dev` imitates.")
    )
    sandbox_events: str = field(
        default="v3",
        metadata=_from(
            _one_of("v3", "v2"), "Shape of the sandbox's payments events: v3 (amounts are text) or v2 (numbers)."
        ),
    )

    stack_name: str | None = field(
        default=None, metadata=_from(_text, "Name of the stack: its topics are {name}-ledger, {name}-payments.")
    )
    broker_url: str | None = field(
        default=None, metadata=_from(_broker, "Where events come and go: nats://host:4222 or kafka://host:9092.")
    )
    broker_username: str | None = field(default=None, metadata=_from(_text, "User at the broker."))
    broker_password: str | None = field(default=None, repr=False, metadata=_from(_text, "That user's password."))
    broker_tls: bool = field(default=False, metadata=_from(_flag, "Speak TLS with the broker."))
    broker_ca: Path | None = field(default=None, metadata=_from(_path, "Certificates to trust there, a PEM file."))
    broker_group: str = field(default="headrace", metadata=_from(_text, "Name of our consumer (group) there."))
    broker_ack_wait_s: float = field(
        default=30.0, metadata=_from(_seconds(1, 3_600), "Time after which what was not taken is delivered again.")
    )
    kafka_sasl: str = field(
        default="PLAIN", metadata=_from(_sasl, "How Kafka wants the password: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512.")
    )
    event_topics: tuple[str, ...] = field(
        default=(), metadata=_from(_texts, "Topics read, by commas; default {stack}-ledger and {stack}-payments.")
    )
    publish_topic: str | None = field(
        default=None, metadata=_from(_text, "Topic of our own events; default {stack}-orchestration.")
    )
    dead_letter_topic: str | None = field(
        default=None, metadata=_from(_text, "Topic of deliveries that are no events; default {stack}-dead-letter.")
    )
    max_deliveries: int = field(
        default=5, metadata=_from(_whole(1, 1_000), "Failures after which a delivery is set aside.")
    )
    keep_outbox_days: int = field(
        default=7,
        metadata=_from(
            _whole(1, 365), "Days (of serving) an event of ours waits for a bus or endpoint that refuses it."
        ),
    )
    webhooks: Path | None = field(default=None, metadata=_from(_path, "File of the endpoints our events go to."))

    allow_world_from_trigger: bool = field(
        default=False, metadata=_from(_flag, "Let a variable of a triggered run name `world` as a source (M9).")
    )
    allow_world_from_caller: bool = field(
        default=True, metadata=_from(_flag, "Let a variable of a caller's run name `world` as a source (M9).")
    )
    traces_url: str | None = field(
        default=None,
        metadata=_from(
            _url, "OTLP/HTTP collector that traces are sent to; unset: OTEL_EXPORTER_OTLP_ENDPOINT, else no traces."
        ),
    )
    trace_amounts: bool = field(
        default=False, metadata=_from(_flag, "Put amounts, assets and the text of errors into traces.")
    )
    log_format: str = field(default="console", metadata=_from(_one_of("console", "json"), "Shape of log lines."))
    log_level: str = field(
        default="info", metadata=_from(_one_of("debug", "info", "warning", "error"), "Least level of log lines.")
    )
    log_instances_per_s: int = field(
        default=20,
        metadata=_from(
            _whole(0, 100_000), "Log lines of ended instances in a second; instances beyond are logged as a number."
        ),
    )

    def __post_init__(self) -> None:
        if self.retry_cap_s < self.retry_base_s:
            raise InvalidValue(PREFIX + "RETRY_CAP_S", "must not be shorter than HEADRACE_RETRY_BASE_S")
        if (self.stack_client_id is None) != (self.stack_client_secret is None):
            missing = "CLIENT_SECRET" if self.stack_client_secret is None else "CLIENT_ID"
            raise InvalidValue(f"{PREFIX}STACK_{missing}", "client id and secret are set together or not at all")

        if self.auth == "oidc" and self.issuer is None:
            raise InvalidValue(PREFIX + "ISSUER", "is needed with HEADRACE_AUTH=oidc: the issuer's URL")

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **chosen: Any) -> Settings:
        """The settings of this environment; `chosen` (a command's options) wins. Raises InvalidValue.

        An empty variable counts as not set.
        """
        values: dict[str, Any] = {}
        for setting in fields(cls):
            variable = PREFIX + setting.name.upper()
            if setting.name not in chosen and environ.get(variable):
                values[setting.name] = _read(variable, environ[variable], setting.metadata["reader"])
        return cls(**values, **chosen)


OTHER_VARIABLES = (
    *("SERVER", "PROFILE", "TOKEN", "TOKEN_URL", "CLIENT_ID", "CLIENT_SECRET", "CONFIG", "DEBUG"),
    *("FUZZ_EXAMPLES", "TEST_NATS_SERVER"),
)
"""Variables that are no settings of a server: the command line or the tests of this project read them."""


_OF_A_SERVICE = re.compile(
    r"HEADRACE(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)"
)


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Variables that begin with HEADRACE_ and that nothing reads, with the known name that is nearest, if one is near.

    An empty variable counts as not set, and one that Kubernetes or Docker sets for a service named `headrace` is
    left out.
    """
    known = [PREFIX + setting.name.upper() for setting in fields(Settings)]
    known += [PREFIX + name for name in OTHER_VARIABLES]
    unknown = sorted(
        name
        for name, value in environ.items()
        if name.startswith(PREFIX) and value and name not in known and not _OF_A_SERVICE.fullmatch(name)
    )
    return {name: next(iter(get_close_matches(name, known, 1, 0.75)), None) for name in unknown}


def _read(variable: str, text: str, reader: Reader) -> Any:
    try:
        return reader(text)
    except ValueError as wanted:
        is_secret = "SECRET" in variable or "PASSWORD" in variable or "@" in text
        shown = "what it holds" if is_secret else repr(text)
        raise InvalidValue(variable, f"{shown} is not {wanted}") from None
