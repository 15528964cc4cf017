"""The Compose files are valid, name settings and commands that exist, and keep what the kit promises of a container."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.kit import CLOSING_S, KIT, ROOT, STOP_S, Tools, complaints_of_process

pytestmark = pytest.mark.timeout(600)  # the first run on a machine compiles the tools

FOLDER = KIT / "compose"
FILES = sorted(FOLDER.glob("*.yaml"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGE = f"headrace:{VERSION}"
VARIABLES = {
    "HEADRACE_STACK_URL": "https://stack.example.com",
    "DATABASE_PASSWORD": "b2d1c7",
    "TEMPORAL_DATABASE_PASSWORD": "77e0aa",
}
"""Those that a file asks for; the others have defaults."""
ONCE = ("migrate", "temporal-schema", "temporal-namespace")
"""Services that end."""
PREPARING = {"postgres", "temporal-postgres"}
"""Services that start as root, prepare their volume and then change their user, for which they need capabilities."""


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def loaded(tools: Tools, name: str) -> dict[str, Any]:
    return tools.compose(FOLDER / f"{name}.yaml", VARIABLES)


def seconds(text: str) -> float:
    found = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", text)
    assert found is not None and text, text
    return int(found[1] or 0) * 60 + int(found[2] or 0)


def complaints(project: dict[str, Any]) -> Iterator[str]:
    """What a project breaks of the promises in deploy/README.md."""
    for name, service in project["services"].items():
        yield from (f"{name}: {complaint}" for complaint in _of_any(name, service))
        if service["image"].startswith("headrace:"):
            yield from (f"{name}: {complaint}" for complaint in _of_headrace(service))
    for name, service in project["services"].items():
        for needed, condition in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in ONCE else "service_healthy"
            if condition["condition"] != wanted:
                yield f"{name}: waits for {needed} without {wanted}"


def _of_any(name: str, service: dict[str, Any]) -> Iterator[str]:
    if not re.search(r":\d+\.\d+(\.\d+)?(-\w+)?(@sha256:[0-9a-f]{64})?$", service["image"]):
        yield "the image has no exact version"
    if any(port.get("host_ip") != "127.0.0.1" for port in service.get("ports", [])):
        yield "publishes a port on every address"
    if service.get("privileged") or "no-new-privileges:true" not in service.get("security_opt", []):
        yield "may gain privileges"
    if name not in PREPARING and service.get("cap_drop") != ["ALL"]:
        yield "keeps capabilities"
    is_server = name not in ONCE
    if is_server and service.get("restart") != "unless-stopped":
        yield "is not started again"
    if is_server and "mem_limit" not in service:
        yield "has no limit of memory"
    own_check = service.get("healthcheck", {}).get("test")
    if is_server and not own_check and not service["image"].startswith("headrace:"):
        yield "has no health check"


def _of_headrace(service: dict[str, Any]) -> Iterator[str]:
    if service["image"] != IMAGE:
        yield f"the image is not {IMAGE}"
    if not service.get("read_only"):
        yield "the root file system is writable"
    environment = {name: value or "" for name, value in service["environment"].items()}
    yield from complaints_of_process(environment, service["command"])
    if seconds(service["stop_grace_period"]) <= STOP_S + CLOSING_S:
        yield "is killed before its attempts have ended"
    check = " ".join(service.get("healthcheck", {}).get("test", []))
    port = {"serve": "8484", "worker": service["command"][-1]}.get(service["command"][0])
    if check and port is not None and f"127.0.0.1:{port}/" not in check:
        yield "the health check asks another port"


def test_the_file_is_valid_and_keeps_every_promise(file: Path, tools: Tools) -> None:
    assert list(complaints(tools.compose(file, VARIABLES))) == []


def test_there_are_the_three_files() -> None:
    assert [file.stem for file in FILES] == ["postgres", "sqlite", "temporal"]


def test_a_secret_has_no_default(file: Path, tools: Tools) -> None:
    asked = [name for name in VARIABLES if f"${{{name}:?" in file.read_text()]
    assert "HEADRACE_STACK_URL" in asked
    for name in asked:
        others = {other: value for other, value in VARIABLES.items() if other != name}
        with pytest.raises(ValueError, match=name):
            tools.compose(file, others)


PLANTED = [
    ("sqlite", "HEADRACE_STACK_URL: ", "HEADRACE_STAK_URL: ", "HEADRACE_STAK_URL is not a setting"),
    ("sqlite", "HEADRACE_AUTH: local", "HEADRACE_AUTH: anything", "HEADRACE_AUTH"),
    ("sqlite", "command: [serve]", "command: [server]", "headrace server is not a command"),
    ("sqlite", "command: [serve]", "command: [serve, --prot, '1']", "--prot"),
    ("sqlite", "127.0.0.1:${PUB", "0.0.0.0:${PUB", "publishes a port"),
    ("sqlite", "127.0.0.1:${PUB", "${PUB", "publishes a port"),
    ("sqlite", "read_only: true", "read_only: false", "writable"),
    ("sqlite", "cap_drop: [ALL]", "cap_drop: []", "keeps capabilities"),
    ("sqlite", "stop_grace_period: 30s", "stop_grace_period: 10s", "is killed"),
    ("sqlite", "restart: unless-stopped", 'restart: "no"', "is not started again"),
    ("sqlite", "mem_limit: 1g", "mem_reservation: 1g", "no limit of memory"),
    ("sqlite", f"image: {IMAGE}", "image: headrace:9.9.9", "the image is not"),
    ("postgres", "image: postgres:17.11-bookworm", "image: postgres", "no exact version"),
    ("postgres", "image: haproxy:3.4.1", "image: haproxy:latest", "no exact version"),
    ("postgres", "condition: service_healthy", "condition: service_started", "waits"),
    ("temporal", "http://127.0.0.1:8485/readyz", "http://127.0.0.1:8484/readyz", "another port"),
    ("temporal", '"no-new-privileges:true"', '"apparmor:x"', "gain privileges"),
]


@pytest.mark.parametrize(("name", "good", "bad", "complaint"), PLANTED)
def test_every_promise_can_be_broken(
    name: str, good: str, bad: str, complaint: str, tools: Tools, tmp_path: Path
) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    assert good in text
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace(good, bad))
    found = list(complaints(tools.compose(broken, VARIABLES)))
    assert found and all(complaint in each for each in found), found


@pytest.mark.parametrize(
    ("good", "bad"),
    [("read_only: true", "readonly: true"), ("pids_limit: 256", "pids_limit: many"), ("- data:/data", "- date:/data")],
)
def test_compose_itself_refuses_what_it_does_not_know(good: str, bad: str, tools: Tools, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text((FOLDER / "sqlite.yaml").read_text().replace(good, bad))
    with pytest.raises(ValueError, match=r"readonly|pids_limit|date"):
        tools.compose(broken, VARIABLES)


# what each topology is


def servers(project: dict[str, Any], command: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in project["services"].items() if (each["command"] or [""])[0] == command}


def test_owner_and_standby_share_a_database_and_the_proxy_knows_both(tools: Tools) -> None:
    project = loaded(tools, "postgres")
    found = servers(project, "serve")
    urls = {each["environment"]["HEADRACE_DATABASE_URL"] for each in found.values()}
    assert len(found) == 2 and len(urls) == 1
    assert all("ports" not in each for each in found.values())
    proxy = project["configs"]["proxy"]["content"]
    assert re.findall(r"server (\S+) (\S+):8484", proxy) == [(name, name) for name in found]
    assert "GET /readyz" in proxy and "expect status 200" in proxy
    assert all(list(each["depends_on"]) == ["migrate"] for each in found.values())


def test_two_api_servers_and_two_workers_share_journal_and_namespace(tools: Tools) -> None:
    project = loaded(tools, "temporal")
    apis, workers = servers(project, "serve"), servers(project, "worker")
    assert (len(apis), len(workers)) == (2, 2)
    environments = [each["environment"] for each in (*apis.values(), *workers.values())]
    assert all(each == environments[0] for each in environments)
    assert environments[0]["HEADRACE_ENGINE"] == "temporal"
    namespace = environments[0]["HEADRACE_TEMPORAL_NAMESPACE"]
    created = project["services"]["temporal-namespace"]["command"][0]
    assert f"create --namespace {namespace} --retention" in created
    assert {
        each["environment"]["POSTGRES_USER"] for name, each in project["services"].items() if "postgres" in name
    } == {
        "headrace",
        "temporal",
    }


def test_what_is_durable_is_in_a_volume_of_its_own(tools: Tools) -> None:
    for name, service in (("sqlite", "headrace"), ("postgres", "postgres"), ("temporal", "postgres")):
        mounted = loaded(tools, name)["services"][service]["volumes"]
        assert [volume["type"] for volume in mounted] == ["volume"], name
