"""The tools that read the deployment kit: Helm, and a program with the libraries of Docker Compose and Kubernetes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance import programs
from tests.deploy.kit import Tools

SOURCE = Path(__file__).parent / "go"
NEEDED = (1, 24)
"""What Helm's own go.mod asks for."""


@pytest.fixture(scope="session")
def go() -> str:
    found = shutil.which("go")
    if found is None:
        pytest.skip("go is not installed: neither Helm nor Compose's library can be built")
    told = subprocess.run([found, "version"], check=True, capture_output=True, text=True).stdout
    version = re.search(r"go(\d+)\.(\d+)", told)
    if version is None or (int(version[1]), int(version[2])) < NEEDED:
        pytest.skip(f"Helm needs go {NEEDED[0]}.{NEEDED[1]} or later, here is {told.strip()}")
    return found


@pytest.fixture(scope="session")
def tools(go: str, tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """Built once per session from modules that go.sum pins; later sessions find them in Go's build cache."""
    folder = tmp_path_factory.mktemp("tools")
    flags = ("-mod=readonly", "-buildvcs=false")
    programs.build([go, "build", *flags, "-o", f"{folder}/", ".", "helm.sh/helm/v3/cmd/helm"], SOURCE)
    listed = [go, "list", *flags, "-m", "-f", "{{.Dir}}", "k8s.io/client-go"]
    client = subprocess.run(listed, cwd=SOURCE, check=True, capture_output=True, text=True).stdout.strip()
    return Tools(folder / "deploy", folder / "helm", Path(client) / "openapi/openapitest/testdata")
