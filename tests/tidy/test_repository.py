"""The repository keeps its rules, and every rule can fail."""

from __future__ import annotations

import pytest

from tests.conftest import LONGEST_FIRST
from tests.tidy import repository
from tests.tidy.repository import Check, Complaint, Source


def shown(path: str, complaints: list[Complaint]) -> str:
    return "\n".join(f"{path}:{line}: {message}" for line, message in complaints)


@pytest.mark.parametrize("check", repository.CHECKS, ids=lambda check: check.__name__)
def test_product_code_keeps_the_rule(check: Check) -> None:
    files = repository.product_files()
    assert files, "no product code was found"
    found = [shown(path, complaints) for path in files if (complaints := list(check(repository.read(path))))]
    assert not found, "\n" + "\n".join(found)


def test_every_python_file_is_of_a_readable_size() -> None:
    paths = [path for path in repository.committed_files() if path.endswith(".py")]
    found = [
        shown(path, complaints) for path in paths if (complaints := list(repository.long_files(repository.read(path))))
    ]
    assert not found, "\n" + "\n".join(found)


def test_the_files_that_are_begun_first_exist() -> None:
    assert [name for name in LONGEST_FIRST if not (repository.ROOT / "tests" / name).is_file()] == []


def test_no_committed_file_names_registries_machines_or_secrets() -> None:
    found: list[str] = []
    for path in repository.committed_files():
        if path in ("tests/tidy/repository.py", "tests/tidy/test_repository.py"):
            continue
        text = (repository.ROOT / path).read_bytes().decode(errors="replace")
        found += [shown(path, [complaint]) for complaint in repository.unwanted_words(path, text)]
    assert not found, "\n" + "\n".join(found)


def test_every_lock_line_is_pinned_and_hashed() -> None:
    for name in ("run", "dev"):
        lines = (repository.ROOT / f"requirements/{name}.txt").read_text().replace("\\\n", " ").splitlines()
        requirements = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        assert requirements
        loose = [line.split()[0] for line in requirements if "==" not in line or "--hash=sha256:" not in line]
        assert not loose, f"requirements/{name}.txt: {loose}"


def test_every_folder_of_the_product_is_a_package_with_a_docstring() -> None:
    for path in repository.product_files():
        folder = (repository.ROOT / path).parent
        assert (folder / "__init__.py").exists(), f"{folder.relative_to(repository.ROOT)} has no __init__.py"


# A rule that cannot fail proves nothing: each finds its own bug.

BUGS = {
    "banned_names": [
        "from datetime import datetime as dt\nx = dt.now()",
        "import datetime\nx = datetime.datetime.utcnow()",
        "import time\nx = time.time()",
        "from time import time_ns as t\nx = t()",
        "import time\nx = time.clock_gettime_ns(0)",
        "import uuid as u\nx = u.uuid4()",
        "from uuid import uuid4\nx = uuid4()",
        "import random\nx = random.Random(1)",
        "print('x')",
        "import json\nx = json.loads('{}')",
    ],
    "bare_excepts": ["try:\n    pass\nexcept:\n    pass"],
    "floats_near_money": ["x = float('1')", "x = 3 / 2"],
    "missing_future_import": ["import os\nimport re"],
    "missing_docstrings": ["import os"],
    "long_files": ["x = 1\n" * (repository.MAX_LINES + 1)],
    "literal_timeouts": ["import asyncio\nasync def f(): await asyncio.wait_for(g(), 5)"],
}


@pytest.mark.parametrize("check", repository.CHECKS, ids=lambda check: check.__name__)
def test_the_rule_catches_its_bug(check: Check) -> None:
    for text in BUGS[check.__name__]:
        assert list(check(Source.of("src/headrace/sandbox/bad.py", text))), text


def test_the_rules_let_good_code_pass() -> None:
    text = (
        '"""A room."""\nfrom __future__ import annotations\n\nfrom pathlib import Path\n\n\n'
        'def amount(clock, folder: Path):\n    return clock.now_at() // 1_000, folder / "a"\n'
    )
    source = Source.of("src/headrace/workflows/good.py", text)
    assert [complaint for check in repository.CHECKS for complaint in check(source)] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.md", "see https://pypi" + ".org/simple"),
        ("requirements/run.txt", "--index-" + "url https://example.org/simple"),
        ("a.json", "https://example.org/a-1.0" + ".tgz"),
        ("a.md", "in /" + "work/main/src"),
        ("a.pem", "-----BEGIN " + "PRIVATE KEY-----"),
    ],
)
def test_unwanted_words_are_found(path: str, text: str) -> None:
    assert list(repository.unwanted_words(path, text))


def test_harmless_words_pass() -> None:
    text = "GET /api/ledger/v2/main/transactions, see https://example.org/home/page and ~/work/x, ./root/a"
    assert list(repository.unwanted_words("README.md", text)) == []
