"""Settings of a server, read once from the environment. A bad value names its variable and the valid ones."""

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
"""Signature algorithms of tokens: asymmetric only."""

BROKER_EXAMPLES = {"nats": "nats://127.0.0.1:4222", "kafka": "kafka://127.0.0.1:9092"}
"""An address of each kind of broker, by its scheme; `composition/brokers.py` has their adapters."""

_SCHEMA_VERSION = re.compile(r"[A-Za-z0-9._+-]{1,255}", re.ASCII)

Reader = Callable[[str], Any]
"""Parses the text of a setting. Raises ValueError, whose text completes "is not ..."."""


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
    """Keep the text as it is: an issuer's name is compared exactly, with its last slash."""
    _url(text)
    return text


def _text(text: str) -> str:
    """One line without surrounding blanks: a line end after a secret would become part of the secret."""
    if text != text.strip() or not text.isprintable():
        raise ValueError(
            "one line without blanks around it; a file and `kubectl create secret --from-file` may add a line end: "
            'strip it, as in "$(cat FILE)" or `printf %s`'
        )
    return text


def _broker(text: str) -> str:
    """`scheme://host:port`; several hosts are separated by commas."""
    scheme, _, hosts = text.rstrip("/").partition("://")
    if scheme not in BROKER_EXAMPLES or not hosts or any(not _is_host(host) for host in hosts.split(",")):
        raise ValueError(f"a URL such as {' or '.join(BROKER_EXAMPLES.values())}, without credentials")
    return text.rstrip("/")


def _database(text: str) -> str:
    """`postgresql://user:password@host:port/name?options`; several hosts are separated by commas.

    Without a host, the socket of this machine, or the one of the option `host`, is meant.
    """
    wanted = ValueError("a URL such as postgresql://user:password@127.0.0.1:5432/headrace")
    scheme, _, rest = text.partition("://")
    authority, _, name = rest.partition("/")
    hosts = authority.rpartition("@")[2]
    if scheme != "postgresql" or not text.isprintable() or " " in text or "#" in text:
        raise wanted
    if hosts and any(not _is_host(host) for host in hosts.split(",")):
        raise ValueError("a URL whose hosts are names or addresses, each with a port from 1 to 65535 or none")
    if not name.partition("?")[0]:
        raise ValueError("a URL that names a database, such as postgresql://127.0.0.1:5432/headrace")
    return text


def _is_host(text: str) -> bool:
    parts = urlsplit(f"//{text}")
    try:
        return bool(parts.hostname) and parts.port != 0 and "@" not in text and parts.netloc == text
    except ValueError:
        return False


def _address(text: str) -> str:
    """`host:port`, without a scheme."""
    _, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not _is_host(text):
        raise ValueError("an address such as 127.0.0.1:7233, without a scheme")
    return text


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
    """`ledger=version`, separated by commas. A version is the ledger's own name for it, such as v1.0.0."""
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

    host: str = field(default="127.0.0.1", metadata=_from(_text, "Address to listen at."))
    port: int = field(default=8484, metadata=_from(_whole(0, 65_535), "Port to listen at; 0 chooses a free one."))
    data: Path = field(
        default=Path(".headrace"), metadata=_from(_path, "Folder of the journal, and of all other files of a server.")
    )
    database_url: str | None = field(
        default=None,
        repr=False,
        metadata=_from(
            _database, "PostgreSQL database of the journal: postgresql://user:password@host/name; unset: a file."
        ),
    )
    engine: str = field(
        default="embedded",
        metadata=_from(
            _one_of("embedded", "temporal"),
            "Engine that drives the instances: embedded, in the server, or temporal, in `headrace worker` processes.",
        ),
    )
    temporal_address: str = field(
        default="127.0.0.1:7233", metadata=_from(_address, "Address of the Temporal cluster: host:port.")
    )
    temporal_namespace: str = field(default="default", metadata=_from(_text, "Namespace in the Temporal cluster."))
    temporal_task_queue: str = field(default="headrace", metadata=_from(_text, "Task queue of the workers."))
    temporal_tls: bool = field(default=False, metadata=_from(_flag, "Use TLS with Temporal."))
    temporal_ca: Path | None = field(
        default=None, metadata=_from(_path, "PEM file of trusted certificates for Temporal; implies TLS.")
    )
    temporal_cert: Path | None = field(
        default=None, metadata=_from(_path, "PEM file of the client certificate for Temporal; implies TLS.")
    )
    temporal_key: Path | None = field(default=None, metadata=_from(_path, "PEM file of that certificate's key."))
    temporal_api_key: str | None = field(
        default=None, repr=False, metadata=_from(_text, "API key for Temporal; implies TLS.")
    )
    temporal_local: bool = field(
        default=False,
        metadata=_from(
            _flag,
            "Take steps as local activities first: faster, but a dead worker is noticed after 10 s instead of the "
            "heartbeat's time.",
        ),
    )
    temporal_heartbeat_s: float = field(
        default=5.0, metadata=_from(_seconds(2, 300), "Time without a heartbeat after which a worker counts as dead.")
    )
    hold_s: float = field(
        default=2.0,
        metadata=_from(_seconds(0, 60), "Longest back-off that a worker waits out itself."),
    )
    begin_within_s: float = field(
        default=1.0,
        metadata=_from(
            _seconds(0.05, 60),
            "Time for which a commit permits an attempt, with several processes; an abort may take as long. Must be "
            "shorter than HEADRACE_SETTLE_S.",
        ),
    )
    steps_at_once: int = field(
        default=500, metadata=_from(_whole(1, 100_000), "Maximum instances that a worker drives at once.")
    )
    cached_workflows: int = field(
        default=1_000, metadata=_from(_whole(0, 1_000_000), "Workflows that a worker keeps in memory.")
    )
    database_readers: int = field(
        default=4, metadata=_from(_whole(1, 64), "Connections that read the journal at once, in PostgreSQL.")
    )
    duties: bool | None = field(
        default=None,
        metadata=_from(
            _flag,
            "Do background work that one server at a time does: triggers, publishing, retention. Default: true for "
            "`serve`, false for `worker`.",
        ),
    )

    stack_url: str | None = field(default=None, metadata=_from(_url, "Root of the stack: /api/ledger and so on."))
    ledger_url: str | None = field(default=None, metadata=_optional_url)
    wallets_url: str | None = field(default=None, metadata=_optional_url)
    payments_url: str | None = field(default=None, metadata=_optional_url)
    ledger_schemas: tuple[tuple[str, str], ...] = field(
        default=(),
        metadata=_from(_ledger_schemas, "Schema version sent with writes to a ledger: main=v1,fees=v2."),
    )
    stack_client_id: str | None = field(default=None, metadata=_from(_text, "OAuth2 client id at the services."))
    stack_client_secret: str | None = field(default=None, repr=False, metadata=_from(_text, "Secret of that client."))
    stack_token_url: str | None = field(default=None, metadata=_from(_url, "Token endpoint for that client."))

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
        metadata=_from(_one_of("none", "local", "oidc"), "Authentication: none, local clients, or an OIDC issuer."),
    )
    issuer: str | None = field(
        default=None,
        metadata=_from(_issuer, "Issuer of the tokens; with `local` the server's name, default its address."),
    )
    allow_plain_issuer: bool = field(
        default=False, metadata=_from(_flag, "Accept keys from an http:// issuer that is not on this machine.")
    )
    audience: str | None = field(
        default=None, metadata=_from(_text, "Required audience (`aud`) of a token; unset accepts any.")
    )
    token_algorithms: tuple[str, ...] = field(
        default=("RS256", "ES256"), metadata=_from(_algorithms, "Accepted signature algorithms of tokens, by commas.")
    )
    clients: Path | None = field(
        default=None, metadata=_from(_path, "File of the clients; default clients.json in the data folder.")
    )
    signing_algorithm: str = field(
        default="ES256", metadata=_from(_signing, "Signature algorithm of local tokens: ES256 or RS256.")
    )
    token_life_s: int = field(default=3_600, metadata=_from(_whole(120, 86_400), "Lifetime of local tokens."))
    key_days: int = field(default=30, metadata=_from(_whole(1, 3_650), "Days that a local key signs."))
    key_overlap_days: int = field(
        default=7, metadata=_from(_whole(2, 3_650), "Days that a retired key is still published.")
    )

    settle_s: float = field(
        default=30.0,
        metadata=_from(_seconds(0, 3_600), "Time a refusal after an unknown attempt must persist (M2b)."),
    )
    timeout_s: float = field(default=30.0, metadata=_from(_seconds(0.1, 600), "Time-out of one attempt on a service."))
    concurrency: int = field(
        default=64,
        metadata=_from(
            _whole(1, 10_000),
            "Maximum concurrent requests for each service. The limit starts at 8 and adapts below it.",
        ),
    )
    retry_base_s: float = field(default=1.0, metadata=_from(_seconds(0.001, 3_600), "Longest pause after attempt 1."))
    retry_cap_s: float = field(default=100.0, metadata=_from(_seconds(0.001, 86_400), "Longest pause of all."))

    wait_s: float = field(default=50.0, metadata=_from(_seconds(0, 600), "Longest that `wait=true` waits."))
    max_body_bytes: int = field(default=1 << 20, metadata=_from(_whole(1_024, 1 << 26), "Longest JSON body."))
    max_yaml_bytes: int = field(default=256 << 10, metadata=_from(_whole(1_024, 1 << 24), "Longest YAML body."))
    remember_days: int = field(
        default=7, metadata=_from(_whole(7, 3_650), "Days of uptime for which a caller's Idempotency-Key is kept.")
    )

    batch_units: int = field(default=256, metadata=_from(_whole(1, 10_000), "Maximum units per commit."))
    queue_units: int = field(default=20_000, metadata=_from(_whole(1, 1_000_000), "Maximum units waiting."))
    commit_timeout_s: float = field(default=4.0, metadata=_from(_seconds(0.1, 60), "Longest wait for the database."))
    stop_s: float = field(default=10.0, metadata=_from(_seconds(0, 600), "Time for running attempts to end at a stop."))

    max_triggers: int = field(default=10_000, metadata=_from(_whole(1, 1_000_000), "Maximum number of triggers."))
    events_at_once: int = field(default=256, metadata=_from(_whole(1, 10_000), "Events that triggers process at once."))
    keep_events_days: int = field(
        default=30,
        metadata=_from(_whole(1, 36_500), "Days of uptime for which an event's envelope is kept; its identity stays."),
    )
    link_origins: tuple[str, ...] = field(
        default=(), metadata=_from(_texts, "Origins besides the stack's that `link()` may read, by commas.")
    )
    link_private: bool = field(
        default=False, metadata=_from(_flag, "Allow host names of these origins to resolve to private addresses.")
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
        default=None, metadata=_from(_broker, "Broker of events; the URL's scheme names its kind.")
    )
    broker_username: str | None = field(default=None, metadata=_from(_text, "User name at the broker."))
    broker_password: str | None = field(default=None, repr=False, metadata=_from(_text, "Password of that user."))
    broker_tls: bool = field(default=False, metadata=_from(_flag, "Use TLS with the broker."))
    broker_ca: Path | None = field(default=None, metadata=_from(_path, "PEM file of trusted certificates."))
    broker_group: str = field(default="headrace", metadata=_from(_text, "Name of the consumer (group) at the broker."))
    broker_ack_wait_s: float = field(
        default=30.0, metadata=_from(_seconds(1, 3_600), "Time after which an unacknowledged event is delivered again.")
    )
    kafka_sasl: str = field(
        default="PLAIN", metadata=_from(_sasl, "SASL mechanism of Kafka: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512.")
    )
    event_topics: tuple[str, ...] = field(
        default=(), metadata=_from(_texts, "Topics to consume, by commas; default {stack}-ledger and {stack}-payments.")
    )
    publish_topic: str | None = field(
        default=None, metadata=_from(_text, "Topic of Headrace's own events; default {stack}-orchestration.")
    )
    dead_letter_topic: str | None = field(
        default=None, metadata=_from(_text, "Topic of malformed deliveries; default {stack}-dead-letter.")
    )
    max_deliveries: int = field(
        default=5, metadata=_from(_whole(1, 1_000), "Failures after which a delivery is dead-lettered.")
    )
    keep_outbox_days: int = field(
        default=7,
        metadata=_from(
            _whole(1, 365), "Days of uptime for which an event waits for a bus or endpoint that rejects it."
        ),
    )
    webhooks: Path | None = field(default=None, metadata=_from(_path, "File of the webhook endpoints."))

    allow_world_from_trigger: bool = field(
        default=False, metadata=_from(_flag, "Allow a triggered run's variable to name `world` as a source (M9).")
    )
    allow_world_from_caller: bool = field(
        default=True, metadata=_from(_flag, "Allow a caller's variable to name `world` as a source (M9).")
    )
    approval_rules: Path | None = field(
        default=None,
        metadata=_from(_path, "YAML file of the rules by which persons have to approve sends; needs authentication."),
    )
    traces_url: str | None = field(
        default=None,
        metadata=_from(_url, "OTLP/HTTP collector of traces; unset: OTEL_EXPORTER_OTLP_ENDPOINT, else no traces."),
    )
    trace_amounts: bool = field(
        default=False, metadata=_from(_flag, "Include amounts, assets and the text of errors in traces.")
    )
    log_format: str = field(default="console", metadata=_from(_one_of("console", "json"), "Format of log lines."))
    log_level: str = field(
        default="info", metadata=_from(_one_of("debug", "info", "warning", "error"), "Lowest level of log lines.")
    )
    log_instances_per_s: int = field(
        default=20,
        metadata=_from(_whole(0, 100_000), "Log lines of ended instances per second; further ones are counted."),
    )

    def __post_init__(self) -> None:
        if self.retry_cap_s < self.retry_base_s:
            raise InvalidValue(PREFIX + "RETRY_CAP_S", "must not be shorter than HEADRACE_RETRY_BASE_S")
        if (self.stack_client_id is None) != (self.stack_client_secret is None):
            missing = "CLIENT_SECRET" if self.stack_client_secret is None else "CLIENT_ID"
            raise InvalidValue(f"{PREFIX}STACK_{missing}", "set both client id and secret, or neither")

        if self.auth == "oidc" and self.issuer is None:
            raise InvalidValue(PREFIX + "ISSUER", "is required with HEADRACE_AUTH=oidc: the issuer's URL")
        if self.approval_rules is not None and self.auth == "none":
            raise InvalidValue(PREFIX + "APPROVAL_RULES", "needs authentication: set HEADRACE_AUTH to local or oidc")
        if self.clients is not None and self.database_url is not None:
            raise InvalidValue(
                PREFIX + "CLIENTS",
                "clients are in the database with HEADRACE_DATABASE_URL: import the file by `headrace clients import`, "
                "and unset this",
            )
        if self.duties is False and self.database_url is None:
            raise InvalidValue(PREFIX + "DUTIES", "needs HEADRACE_DATABASE_URL: no other server shares a file")
        if (self.temporal_cert is None) != (self.temporal_key is None):
            missing = "KEY" if self.temporal_key is None else "CERT"
            raise InvalidValue(f"{PREFIX}TEMPORAL_{missing}", "set both certificate and key, or neither")
        if self.engine == "temporal":
            if self.database_url is None:
                raise InvalidValue(PREFIX + "DATABASE_URL", "is required with HEADRACE_ENGINE=temporal")
            if self.begin_within_s >= self.settle_s:
                raise InvalidValue(PREFIX + "BEGIN_WITHIN_S", "must be shorter than HEADRACE_SETTLE_S")

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **chosen: Any) -> Settings:
        """Read the settings of this environment; `chosen` (options of a command) takes precedence. Raises InvalidValue.

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
    *("FUZZ_EXAMPLES", "TEST_NATS_SERVER", "TEST_POSTGRES"),
)
"""Variables that are not settings of a server: the command line or this project's tests read them."""


_OF_A_SERVICE = re.compile(
    r"HEADRACE(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)"
)


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Find variables that begin with HEADRACE_ and have no effect, each with the most similar known name, if any.

    An empty variable counts as not set. Variables that Kubernetes or Docker set for a service named `headrace` are
    skipped.
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
        is_secret = any(word in variable for word in ("SECRET", "PASSWORD", "API_KEY", "DATABASE_URL")) or "@" in text
        shown = "the value" if is_secret else repr(text)
        raise InvalidValue(variable, f"{shown} is not {wanted}") from None
