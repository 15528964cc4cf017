"""The site: it builds without a warning, works without a network, and everybody's page is one click away."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.snippets import ROOT

PAGES_OF = {
    "a payments engineer": "tutorial.html",
    "an engineer on call": "how-to/on-call.html",
    "an accountant": "how-to/read-the-books.html",
    "an evaluator": "explanation/comparison.html",
    "a maintainer": "explanation/architecture.html",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strictly built: a dead link, an unknown anchor or a page outside the navigation is an error."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-b", "html"]
    built = subprocess.run([*command, str(ROOT / "docs"), str(out)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return out


def test_each_reader_has_a_page_one_click_away(site: Path) -> None:
    start = re.search(r"<article.*?</article>", (site / "index.html").read_text(), re.DOTALL)
    assert start
    for reader, page in PAGES_OF.items():
        assert f'href="{page}"' in start[0], reader


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*\"|@import|url\(\"?https?:"
    )
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert loads.search(file.read_text()) is None, file.name


def test_what_is_typed_keeps_its_dashes_and_quotes(site: Path) -> None:
    text = (site / "reference/command-line.html").read_text()
    assert "Start an instance; with --wait, wait for its end." in text
    assert "{&quot;type&quot;, &quot;app&quot;" in text


def test_every_page_is_there(site: Path) -> None:
    pages = [page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 30
    assert [page for page in pages if page.parts[0] != "out" and not (site / page).exists()] == []


def test_a_dead_link_fails(tmp_path: Path) -> None:
    """The strictness that the first test relies on."""
    source = tmp_path / "docs"
    (source / "static").mkdir(parents=True)
    (source / "static/site.css").touch()
    (source / "conf.py").write_text((ROOT / "docs/conf.py").read_text())
    (source / "index.md").write_text("# Start\n\n[gone](gone.md) and [nowhere](#nowhere)\n")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-b", "html"]
    built = subprocess.run([*command, str(source), str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert built.returncode != 0
    assert "gone.md" in built.stderr and "nowhere" in built.stderr
