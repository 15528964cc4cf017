"""The connection to a Temporal cluster, and how values travel over it: as JSON, by their annotations."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import (
    BinaryNullPayloadConverter,
    CompositePayloadConverter,
    DataConverter,
    EncodingPayloadConverter,
)
from temporalio.service import TLSConfig

from headrace.errors import InvalidValue

CONNECT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalOptions:
    """Address of the cluster, and the credentials for it. A certificate, a key or an API key implies TLS.

    `local`: a step is a local activity first. `heartbeat_s`: time after which a silent worker counts as dead.
    """

    address: str = "127.0.0.1:7233"
    namespace: str = "default"
    task_queue: str = "headrace"
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    api_key: str | None = field(default=None, repr=False)
    local: bool = False
    heartbeat_s: float = 5.0


class _MsgspecConverter(EncodingPayloadConverter):
    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload(metadata={"encoding": b"json/plain"}, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        decoded: Any = msgspec.json.decode(payload.data, type=cast("type[Any]", type_hint or Any))
        return decoded


class _Converter(CompositePayloadConverter):
    def __init__(self) -> None:
        super().__init__(BinaryNullPayloadConverter(), _MsgspecConverter())


CONVERTER = DataConverter(payload_converter_class=_Converter)


async def connect(options: TemporalOptions, *, lazy: bool) -> Client:
    """Connect, or with `lazy` at the first call, so that a server starts while Temporal is away.

    Raises InvalidValue, naming the setting, for a file that cannot be read; RuntimeError where no connection is made.
    """
    return await Client.connect(
        options.address,
        namespace=options.namespace,
        api_key=options.api_key,
        data_converter=CONVERTER,
        tls=_tls(options),
        lazy=lazy,
        connect_timeout=timedelta(seconds=CONNECT_S),
    )


def _tls(options: TemporalOptions) -> bool | TLSConfig:
    if options.ca is None and options.cert is None:
        return options.tls or options.api_key is not None
    return TLSConfig(
        server_root_ca_cert=_content("HEADRACE_TEMPORAL_CA", options.ca),
        client_cert=_content("HEADRACE_TEMPORAL_CERT", options.cert),
        client_private_key=_content("HEADRACE_TEMPORAL_KEY", options.key),
    )


def _content(setting: str, path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise InvalidValue(setting, f"cannot be read: {error.strerror}") from None
