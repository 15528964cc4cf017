"""Proxies of the environment do not apply to this machine's loopback addresses.

HTTP_PROXY on a laptop names a remote proxy, for which 127.0.0.1 is another machine. Programs in Go have the same rule.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "*.localhost", "[::1]")


def direct_mounts(*urls: str) -> dict[str, None]:
    """`mounts` of an httpx2 client: no proxy for loopback hosts, including the hosts of these URLs."""
    hosts = [host for url in urls if is_loopback(host := urlsplit(url).hostname or "") and ":" not in host]
    return {f"all://{host}": None for host in (*LOOPBACK, *hosts)}


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
