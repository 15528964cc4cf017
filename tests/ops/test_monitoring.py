"""The dashboard and the alert rules ask for metrics that a server reports, and the rules fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.clock import SystemClock
from headrace.telemetry import Telemetry

OPS = Path(__file__).parents[2] / "ops"
RULES = OPS / "prometheus" / "headrace.rules.yml"
RULE_TESTS = OPS / "prometheus" / "headrace.rules.test.yml"
ON_CALL = OPS.parent / "docs/how-to/on-call.md"
DASHBOARD = OPS / "grafana" / "headrace.json"
NOT_OURS = {"up"}
"""Reported by Prometheus itself."""
_NAME = re.compile(r"(?<![\w:\"$])[a-z_][a-z0-9_:]*")
_STRING = re.compile(r'"[^"]*"')
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\{[^}]*\}|\[[^\]]*\]")
WORDS = {"and", "or", "unless", "by", "bool", "offset"}


def metrics_of(query: str) -> set[str]:
    """Names of metrics in a PromQL expression: what is neither a label, a function nor a keyword."""
    bare = _LABELS.sub(" ", _STRING.sub('""', query))
    names = {
        match[0]
        for match in _NAME.finditer(bare)
        if match[0] not in WORDS and not bare[match.end() :].lstrip().startswith("(")
    }
    return {name for name in names if not re.fullmatch(r"e\d*|inf|nan", name)}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('sum by (service, le) (rate(a_total{x="b_total"}[5m])) > 0.1', {"a_total"}),
        ("histogram_quantile(0.99, sum by (le) (rate(a_bucket[10m]))) > 1e3", {"a_bucket"}),
        ("a <= 2 and on (instance, service) b > 0 unless c", {"a", "b", "c"}),
        ('rate(a{job="j", i=~"$instance"}[$__rate_interval]) / rate(b[1m])', {"a", "b"}),
        ('up{job="headrace"} == 0 or absent(up{job="headrace"})', {"up"}),
    ],
)
def test_names_of_metrics_are_found_in_a_query(query: str, names: set[str]) -> None:
    assert metrics_of(query) == names


def reported() -> set[str]:
    """Every series name that a registry's metrics can have."""
    endings = {
        "counter": ("_total",),
        "histogram": ("_bucket", "_sum", "_count"),
        "info": ("_info",),
    }
    return {
        metric.name + ending
        for collector in Telemetry(SystemClock()).registry._collector_to_names  # pyright: ignore[reportPrivateUsage]
        for metric in collector.collect()
        for ending in endings.get(metric.type, ("",))
    }


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> Iterator[dict[str, Any]]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def queries() -> dict[str, str]:
    """By where each stands."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    for panel in panels():
        found |= {f"panel {panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            metric = re.fullmatch(r"label_values\((\w+), \w+\)", variable["query"]["query"])
            assert metric is not None
            found[f"variable {variable['name']}"] = metric[1]
    return found


def test_every_query_names_metrics_that_exist() -> None:
    known = reported() | NOT_OURS
    unknown = {where: metrics_of(query) - known for where, query in queries().items()}
    assert {where: names for where, names in unknown.items() if names} == {}
    assert all(metrics_of(query) for query in queries().values())


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    on_dashboard = {name for where, query in queries().items() if where[:5] == "panel" for name in metrics_of(query)}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in on_dashboard}
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in reported() if name.startswith("headrace_")}
    assert ours - shown == set()


def test_the_dashboards_panels_do_not_overlap_and_each_has_its_own_id() -> None:
    everything = json.loads(DASHBOARD.read_text())["panels"]
    ids = [panel["id"] for panel in everything]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in everything)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24


def test_every_alert_says_what_it_means_and_has_a_test() -> None:
    tested = RULE_TESTS.read_text()
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"] and rule["annotations"]["description"], rule["alert"]
        assert rule["alert"] in tested, rule["alert"]


def test_every_alert_has_its_paragraph_on_call() -> None:
    page = ON_CALL.read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    paragraphs = {text.partition("\n")[0]: text for text in page.split("\n### ")[1:]}
    assert list(paragraphs) == [rule["alert"] for rule in rules()], "docs/how-to/on-call.md"
    for rule in rules():
        text = paragraphs[rule["alert"]]
        assert f"- **Means** ({rule['labels']['severity']}): " in text, rule["alert"]
        assert "\n- **Look at** " in text, rule["alert"]
        assert "\n- **Do**: " in text, rule["alert"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize("arguments", [("check", "rules", str(RULES)), ("test", "rules", str(RULE_TESTS))])
def test_promtool_accepts_the_rules_and_their_tests_pass(arguments: tuple[str, ...]) -> None:
    ran = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_can_parse_every_query_of_the_dashboard(tmp_path: Path) -> None:
    """As recording rules, with Grafana's variables replaced."""
    made: list[dict[str, str]] = []
    for number, (where, query) in enumerate(queries().items()):
        plain = query.replace("$__rate_interval", "1m").replace("$instance", ".*")
        assert "$" not in plain, where
        made.append({"record": f"query_{number}", "expr": plain})
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": made}]}))
    ran = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
