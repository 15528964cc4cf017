"""The Helm chart renders manifests that Kubernetes accepts and whose processes start; pods survive drains and upgrades.

Each manifest is decoded strictly into Kubernetes's own types; kinds of core, apps and batch are also checked against
Kubernetes's own OpenAPI description, which knows what is required.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.deploy.kit import CLOSING_S, KIT, ROOT, STOP_S, Tools, complaints_of_process

pytestmark = pytest.mark.timeout(600)  # the first run on a machine compiles Helm

Manifest = dict[str, Any]

CHART = KIT / "helm/headrace"
EMBEDDED = {"database.secret": "database", "stack.url": "https://stack.example.com"}
TEMPORAL = EMBEDDED | {"engine": "temporal", "temporal.address": "temporal:7233"}
FULL = TEMPORAL | {
    "auth.mode": "oidc",
    "auth.issuer": "https://issuer.example.com",
    "auth.audience": "headrace",
    "stack.credentials.secret": "stack",
    "temporal.certificates.secret": "temporal",
    "temporal.apiKey.secret": "temporal",
    "settings.HEADRACE_CONCURRENCY": "19",
    "settings.HEADRACE_BROKER_URL": "nats://nats:4222",
    "settings.HEADRACE_STACK_NAME": "stack",
    "secretSettings.HEADRACE_BROKER_PASSWORD.secret": "broker",
    "secretSettings.HEADRACE_BROKER_PASSWORD.key": "password",
    "image.digest": f"sha256:{'0' * 64}",
    "imagePullSecrets[0].name": "registry",
    "podAnnotations.example": "yes",
    "nodeSelector.pool": "payments",
    "tolerations[0].key": "payments",
    "tolerations[0].operator": "Exists",
    "priorityClassName": "high",
    "networkPolicy.from[0].podSelector.matchLabels.app": "gateway",
    "networkPolicy.egressPorts[0]": "443",
}
CASES = {"embedded": EMBEDDED, "temporal": TEMPORAL, "every value": FULL}
SECRETS = {"HEADRACE_DATABASE_URL": "postgresql://headrace:secret@database:5432/headrace?sslmode=verify-full"}
"""Values that a Secret holds, where any text will not do."""
DESCRIBED = {"v1": "api__v1", "apps/v1": "apis__apps__v1", "batch/v1": "apis__batch__v1"}
PORTS = {"serve": 8484, "worker": 8485}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def rendered(request: pytest.FixtureRequest, tools: Tools) -> list[Manifest]:
    return tools.manifests(tools.template(CHART, request.param))


@cache
def description(folder: Path, version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{DESCRIBED[version]}_openapi.json").read_text())
    return found


def problems(manifest: Manifest, folder: Path) -> Iterator[str]:
    """What Kubernetes's OpenAPI description says against a manifest."""
    if (version := manifest["apiVersion"]) not in DESCRIBED:
        return
    schemas = description(folder, version)["components"]["schemas"]
    group, _, number = version.rpartition("/")
    kind = {"group": group, "kind": manifest["kind"], "version": number}
    (name,) = [name for name, each in schemas.items() if kind in each.get("x-kubernetes-group-version-kind", [])]
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    for error in jsonschema_rs.Draft7Validator(schema).iter_errors(manifest):
        yield f"{'.'.join(map(str, error.instance_path))}: {error.message}"


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """By component: api, worker or migrate."""
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in manifests if each["kind"] == kind
    }


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Templates of pods by component."""
    owners = of_kind(manifests, "Deployment") | of_kind(manifests, "Job")
    return {component: each["spec"]["template"] for component, each in owners.items()}


def containers(manifests: list[Manifest]) -> Iterator[Manifest]:
    for pod in pods(manifests).values():
        yield from pod["spec"]["containers"]


def environment(container: Manifest) -> dict[str, str]:
    return {
        each["name"]: each["value"] if "value" in each else SECRETS.get(each["name"], "secret")
        for each in container["env"]
    }


def complaints(manifests: list[Manifest]) -> Iterator[str]:
    """What the rendered pods break of the promises in deploy/README.md."""
    for component, pod in pods(manifests).items():
        spec = pod["spec"]
        if spec.get("enableServiceLinks") is not False:
            yield f"{component}: a Service named headrace would set HEADRACE_PORT"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{component}: holds a token of the cluster that it does not need"
        if not spec["securityContext"].get("runAsNonRoot") or "seccompProfile" not in spec["securityContext"]:
            yield f"{component}: may be root, or call anything"
        for container in spec["containers"]:
            yield from (f"{component}: {each}" for each in _of_container(container))
            grace = spec.get("terminationGracePeriodSeconds", 30)
            before = 5 if "lifecycle" in container else 0
            if component != "migrate" and grace <= before + STOP_S + CLOSING_S:
                yield f"{component}: is killed before its attempts have ended"


def _of_container(container: Manifest) -> Iterator[str]:
    security = container["securityContext"]
    if security != {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }:
        yield "keeps rights"
    if "memory" not in container["resources"].get("limits", {}) or "cpu" not in container["resources"]["requests"]:
        yield "has no limits"
    names = [each["name"] for each in container["env"]]
    if len(set(names)) != len(names):
        yield "sets a variable twice"
    arguments = container["args"]
    image = {"HEADRACE_HOST": "0.0.0.0", "HEADRACE_DATA": "/data"}
    yield from complaints_of_process(image | environment(container), arguments)
    if (port := PORTS.get(arguments[0])) is None:
        return
    if [each["containerPort"] for each in container["ports"]] != [port] or arguments[1:] not in (
        [],
        ["--health-port", str(port)],
    ):
        yield "listens at another port"
    for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        if container.get(probe, {}).get("httpGet") != {"path": path, "port": "http"}:
            yield f"{probe} does not ask {path}"


def test_kubernetes_accepts_every_manifest(rendered: list[Manifest], tools: Tools) -> None:
    found = [f"{each['kind']}: {problem}" for each in rendered for problem in problems(each, tools.openapi)]
    assert found == []
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered]
    assert len(set(names)) == len(names) and all(each["metadata"]["name"].islower() for each in rendered)


def test_every_pod_keeps_every_promise(rendered: list[Manifest]) -> None:
    assert list(complaints(rendered)) == []


@pytest.mark.parametrize("version", ["1.27.0", "1.34.0"])
def test_the_oldest_kubernetes_and_a_current_one_are_known(version: str, tools: Tools) -> None:
    assert tools.template(CHART, TEMPORAL, "--kube-version", version)


def test_an_older_kubernetes_is_refused(tools: Tools) -> None:
    with pytest.raises(ValueError, match="incompatible"):
        tools.template(CHART, TEMPORAL, "--kube-version", "1.26.0")


@pytest.mark.parametrize("values", CASES.values(), ids=list(CASES))
def test_helm_lints_the_chart(values: Mapping[str, str], tools: Tools) -> None:
    assert "0 chart(s) failed" in tools.lint(CHART, values)


def test_the_version_is_the_one_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


# values


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"stack.url": "https://stack"}, "database.secret"),
        ({"database.secret": "database"}, "stack.url"),
        (EMBEDDED | {"engine": "temporal"}, "temporal.address"),
        (EMBEDDED | {"auth.mode": "oidc"}, "auth.issuer"),
        (EMBEDDED | {"engine": "tempral"}, "engine"),
        (EMBEDDED | {"replicas": "3"}, "replicas"),
        (EMBEDDED | {"api.replicas": "0"}, "replicas"),
        (EMBEDDED | {"settings.CONCURRENCY": "3"}, "CONCURRENCY"),
        (EMBEDDED | {"stack.url": "stack.example.com"}, "url"),
        (EMBEDDED | {"image.digest": "sha256:abc"}, "digest"),
        (EMBEDDED | {"terminationGracePeriodSeconds": "10"}, "terminationGracePeriodSeconds"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(values: Mapping[str, str], reason: str, tools: Tools) -> None:
    with pytest.raises(ValueError, match=reason):
        tools.template(CHART, values)


def test_every_value_is_used_and_has_a_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    text = "".join(file.read_text() for file in (CHART / "templates").iterdir())
    for name in values:
        assert re.search(rf"\.Values\.{name}\b", text), name
    assert set(schema["properties"]) == {*values, "global"}


def test_a_digest_wins_over_the_tag_and_a_component_may_have_its_own_tag(tools: Tools) -> None:
    def images(**values: str) -> set[str]:
        return {each["image"] for each in containers(tools.manifests(tools.template(CHART, TEMPORAL | values)))}

    assert images() == {"headrace:0.2.0"}
    assert images(**{"image.digest": f"sha256:{'1' * 64}"}) == {f"headrace@sha256:{'1' * 64}"}
    assert images(**{"image.tag": "0.3.0", "api.tag": "0.2.0"}) == {"headrace:0.3.0", "headrace:0.2.0"}


def test_no_secret_is_written_into_a_manifest(rendered: list[Manifest]) -> None:
    for container in containers(rendered):
        for each in container["env"]:
            is_secret = re.search("SECRET|PASSWORD|API_KEY|DATABASE_URL", each["name"])
            assert not is_secret or "secretKeyRef" in each["valueFrom"], each


# what belongs together


def test_selectors_find_the_pods_they_are_for(rendered: list[Manifest]) -> None:
    labels = {component: pod["metadata"]["labels"] for component, pod in pods(rendered).items()}

    def found(selector: Mapping[str, str]) -> list[str]:
        return [component for component, each in labels.items() if selector.items() <= each.items()]

    assert found(of_kind(rendered, "Service")["api"]["spec"]["selector"]) == ["api"]
    for kind, path in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        for component, each in of_kind(rendered, kind).items():
            assert found(each["spec"][path]["matchLabels"]) == [component], kind


def test_each_component_of_temporal_is_there(tools: Tools) -> None:
    manifests = tools.manifests(tools.template(CHART, TEMPORAL))
    assert set(pods(manifests)) == {"api", "worker", "migrate"}
    assert set(of_kind(manifests, "NetworkPolicy")) == {"api", "worker"}
    for each in of_kind(manifests, "Deployment").values():
        assert each["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_pods_of_one_journal_share_every_address(tools: Tools) -> None:
    manifests = tools.manifests(tools.template(CHART, FULL))
    api, worker = (pods(manifests)[component]["spec"]["containers"][0]["env"] for component in ("api", "worker"))
    own = {"HEADRACE_PORT", "HEADRACE_AUTH", "HEADRACE_ISSUER", "HEADRACE_AUDIENCE"}
    assert [each for each in api if each["name"] not in own] == worker


def test_a_drain_moves_every_pod(tools: Tools) -> None:
    """A standby is never ready, so a budget would count the owner alone and keep its node from being drained."""
    embedded = tools.manifests(tools.template(CHART, EMBEDDED))
    assert of_kind(embedded, "PodDisruptionBudget") == {}
    budgets = of_kind(tools.manifests(tools.template(CHART, TEMPORAL)), "PodDisruptionBudget")
    assert set(budgets) == {"api", "worker"}
    for budget in budgets.values():
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_an_upgrade_of_an_owner_waits_for_no_readiness(tools: Tools) -> None:
    """A new pod stands by while an old one owns the journal: a rollout that waits for it would never end."""
    (deployment,) = of_kind(tools.manifests(tools.template(CHART, EMBEDDED)), "Deployment").values()
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == "100%"
    assert deployment["spec"]["progressDeadlineSeconds"] == 2**31 - 1


def test_the_schema_is_migrated_before_an_upgrade_and_not_before_a_rollback(rendered: list[Manifest]) -> None:
    job = of_kind(rendered, "Job")["migrate"]
    assert set(job["metadata"]["annotations"]["helm.sh/hook"].split(",")) == {"pre-install", "pre-upgrade"}
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]  # not there yet at an install


# the checks can fail


@pytest.mark.parametrize(
    ("file", "good", "bad"),
    [
        ("api.yaml", "args: [serve]", "args: [server]"),
        ("api.yaml", "enableServiceLinks: false", "enableServiceLinks: true"),
        ("api.yaml", "containerPort: 8484", "containerPort: 8000"),
        ("api.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
        ("_helpers.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
        ("_helpers.tpl", "runAsNonRoot: true", "runAsNonRoot: false"),
        ("_helpers.tpl", "HEADRACE_STACK_URL", "HEADRACE_STACK_URI"),
        ("_helpers.tpl", "path: /readyz", "path: /ready"),
        ("_helpers.tpl", "value: json", "value: xml"),
    ],
)
def test_every_promise_can_be_broken(file: str, good: str, bad: str, tools: Tools, tmp_path: Path) -> None:
    chart = copied(tmp_path, file, good, bad)
    before = list(complaints(tools.manifests(tools.template(CHART, EMBEDDED))))
    assert list(complaints(tools.manifests(tools.template(chart, EMBEDDED)))) != before


@pytest.mark.parametrize(
    ("file", "good", "bad"),
    [
        ("api.yaml", "serviceAccountName:", "serviceAccount_Name:"),
        ("api.yaml", "replicas: {{ .Values.api.replicas }}", "replicas: two"),
        ("networkpolicy.yaml", "policyTypes:", "policies:"),
        ("migrate.yaml", "backoffLimit: 3", "backoffLimit: [3]"),
    ],
)
def test_a_field_that_kubernetes_does_not_know_is_refused(
    file: str, good: str, bad: str, tools: Tools, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"unknown field|cannot unmarshal"):
        tools.manifests(tools.template(copied(tmp_path, file, good, bad), EMBEDDED))


def test_a_field_that_is_missing_is_found(tools: Tools, tmp_path: Path) -> None:
    chart = copied(tmp_path, "api.yaml", "- name: headrace\n          image:", "- image:")
    manifests = tools.manifests(tools.template(chart, EMBEDDED))
    found = [problem for each in manifests for problem in problems(each, tools.openapi)]
    assert len(found) == 1 and '"name" is a required property' in found[0]


def copied(folder: Path, file: str, good: str, bad: str) -> Path:
    """A copy of the chart with another text in one of its templates."""
    chart = folder / "headrace"
    (chart / "templates").mkdir(parents=True)
    for each in CHART.rglob("*"):
        if each.is_file():
            (chart / each.relative_to(CHART)).write_text(each.read_text())
    template = chart / "templates" / file
    assert good in template.read_text()
    template.write_text(template.read_text().replace(good, bad))
    return chart
