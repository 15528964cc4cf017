"""TLS, client certificates and API keys of Temporal: HAProxy in front of a real server asks for them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.clock import SystemClock
from headrace.composition.doctor_temporal import check_temporal
from headrace.composition.findings import Finding
from headrace.settings import Settings
from tests.support.server import free_port
from tests.support.temporal import NAMESPACES, TemporalServer, missing, shared_server

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
KEY = "key-of-the-tests"
PATIENCE_S = 20.0

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed"),
]

CONFIG = """\
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend gateway
    bind 127.0.0.1:{port} ssl crt {folder}/server.pem alpn h2 {verify}
    http-request return status 401 if {refused}
    default_backend temporal
backend temporal
    server temporal {address} proto h2
"""


@dataclass(frozen=True)
class Gateway:
    """`folder` holds ca.crt, another.crt, and client.crt with client.key."""

    address: str
    folder: Path

    def settings(self, **settings: str) -> Settings:
        """`settings`: names without HEADRACE_TEMPORAL_, in lower case; files by their names."""
        files = {name: str(self.folder / value) for name, value in settings.items() if name in ("ca", "cert", "key")}
        given = {"address": self.address, "namespace": NAMESPACES[0], **settings, **files}
        environ = {f"HEADRACE_TEMPORAL_{name.upper()}": value for name, value in given.items()}
        return Settings.from_env({**environ, "HEADRACE_DATABASE_URL": "postgresql://127.0.0.1/none"}, engine="temporal")

    async def first_finding(self, **settings: str) -> Finding:
        return (await check_temporal(self.settings(**settings), SystemClock()))[0]


@pytest.fixture(scope="module", autouse=True)
def server() -> TemporalServer:
    return shared_server().start_once()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for authority in ("ca", "another"):
        _openssl(folder, "req", "-x509", *_key(authority), "-subj", f"/CN={authority}", "-out", f"{authority}.crt")
    for name in ("server", "client"):
        _openssl(folder, "req", *_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt")
    (folder / "server.pem").write_text((folder / "server.crt").read_text() + (folder / "server.key").read_text())
    return folder


def _key(name: str) -> tuple[str, ...]:
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@contextmanager
def _gateway(folder: Path, into: Path, *, verify: str = "", refused: str = "FALSE") -> Iterator[Gateway]:
    port = free_port()
    server = shared_server()
    text = CONFIG.format(port=port, folder=folder, verify=verify, refused=refused, address=server.address)
    file = into / "haproxy.cfg"
    file.write_text(text)
    assert HAPROXY is not None
    with subprocess.Popen([HAPROXY, "-db", "-f", file], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        try:
            _wait_for(port)
            yield Gateway(f"127.0.0.1:{port}", folder)
        finally:
            child.terminate()


def _wait_for(port: int) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert time.monotonic() < until_s, "HAProxy did not start"
            time.sleep(0.05)
        else:
            return


async def test_a_trusted_certificate_is_needed(certificates: Path, tmp_path: Path) -> None:
    with _gateway(certificates, tmp_path) as gateway:
        assert (await gateway.first_finding(ca="ca.crt")).status == "ok"
        for settings in ({"ca": "another.crt"}, {"tls": "true"}, {}):
            found = await gateway.first_finding(**settings)
            assert (found.status, found.text.partition(": ")[0]) == ("failed", gateway.address), settings


async def test_a_client_certificate_is_sent(certificates: Path, tmp_path: Path) -> None:
    with _gateway(certificates, tmp_path, verify=f"ca-file {certificates}/ca.crt verify required") as gateway:
        assert (await gateway.first_finding(ca="ca.crt", cert="client.crt", key="client.key")).status == "ok"
        found = await gateway.first_finding(ca="ca.crt")
        assert (found.status, found.text.partition(": ")[0]) == ("failed", gateway.address)


async def test_an_api_key_is_sent(certificates: Path, tmp_path: Path) -> None:
    refused = f'!{{ req.hdr(authorization) -m str "Bearer {KEY}" }}'
    with _gateway(certificates, tmp_path, refused=refused) as gateway:
        assert (await gateway.first_finding(ca="ca.crt", api_key=KEY)).status == "ok"
        for settings in ({"api_key": "another"}, {}):
            found = await gateway.first_finding(ca="ca.crt", **settings)
            assert found.status == "failed" and "refuses the credentials" in found.text, settings
            assert KEY not in found.text and "another" not in found.text
