"""Limits on failed authentications per client and address, within bounded memory.

A client's failures count together with their address, so that a caller elsewhere cannot lock a client out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

MAX_KEPT = 10_000
_MAX_ID_CHARACTERS = 128
_MAX_ADDRESS_CHARACTERS = 64

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Allowance:
    """A budget of failures: so many at once, and one more after each `every_s` seconds."""

    burst: int
    every_s: float


PER_CLIENT = Allowance(10, 6.0)
PER_ADDRESS = Allowance(60, 1.0)


class Failures:
    """Failed authentications of the recent past: at most `max_kept` of them."""

    def __init__(self, monotonic_s: Callable[[], float], *, max_kept: int = MAX_KEPT) -> None:
        self._monotonic_s = monotonic_s
        self._max_kept = max_kept
        self._spent: OrderedDict[_Key, tuple[float, float]] = OrderedDict()
        """Failures that still count, and when they were computed."""

    def wait_s(self, client_id: str, address: str) -> float:
        """Seconds until another attempt is allowed; 0 means now."""
        client, per_address = _keys(client_id, address)
        return max(self._wait_s(client, PER_CLIENT), self._wait_s(per_address, PER_ADDRESS))

    def add(self, client_id: str, address: str) -> None:
        client, per_address = _keys(client_id, address)
        self._add(client, PER_CLIENT)
        self._add(per_address, PER_ADDRESS)

    def _wait_s(self, key: _Key, allowance: Allowance) -> float:
        return max(0.0, (self._left(key, allowance) - allowance.burst + 1) * allowance.every_s)

    def _add(self, key: _Key, allowance: Allowance) -> None:
        self._spent[key] = (self._left(key, allowance) + 1, self._monotonic_s())
        self._spent.move_to_end(key)
        while len(self._spent) > self._max_kept:
            self._spent.popitem(last=False)

    def _left(self, key: _Key, allowance: Allowance) -> float:
        spent, since_s = self._spent.get(key, (0.0, 0.0))
        return max(0.0, spent - (self._monotonic_s() - since_s) / allowance.every_s)


def _keys(client_id: str, address: str) -> tuple[_Key, _Key]:
    network = _network(address)
    return (f"client {client_id[:_MAX_ID_CHARACTERS]}", network), ("", network)


def _network(address: str) -> str:
    """The network of an address. One caller has 2^64 IPv6 addresses; an IPv4 address stays whole."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:_MAX_ADDRESS_CHARACTERS]  # a proxy may report anything
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
