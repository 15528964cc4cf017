"""How the pages become a site: `make docs`. Nothing is fetched, neither when it is built nor when it is read.

The pages are plain Markdown, to be read where they stand as well: what only the site needs, its navigation, is here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

project = "Headrace"
author = copyright = "the Headrace authors"  # noqa: A001
extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = ["generator", "out"]
nitpicky = True

myst_heading_anchors = 3
"""Headings get the anchors that a code host gives them."""
highlight_language = "text"
smartquotes = False
"""`--wait` stays what a reader has to type, and quotes those of JSON."""

html_theme = "furo"
html_title = "Headrace"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_use_index = False
html_permalinks_icon = "#"
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "native"

NAVIGATION: dict[str, dict[str, list[str]]] = {
    "index": {
        "Learn": ["tutorial", "plan-to-proof", "recipes/*", "faq"],
        "Do": [
            *("how-to/real-stack", "authentication", "brokers", "webhooks", "how-to/monitoring", "how-to/on-call"),
            *("how-to/troubleshooting", "how-to/attention", "how-to/backup", "how-to/read-the-books"),
            *("how-to/moving", "how-to/*", "*"),
        ],
        "Look up": [
            *("reference/stages", "reference/variables", "reference/expressions", "reference/orchestration-v1"),
            *("reference/orchestration-v2", "reference/beside-the-api", "reference/models", "reference/errors"),
            *("reference/command-line", "reference/settings", "reference/metrics", "reference/glossary", "reference/*"),
        ],
        "Understand": [
            *("explanation/never-twice", "explanation/not-promised", "explanation/comparison", "explanation/sizing"),
            *("explanation/*", "decisions/README"),
        ],
    },
    "decisions/README": {"": ["decisions/glossary", "decisions/[0-9]*", "decisions/template"]},
}
"""By page, the pages below it. A page that is not named is there by itself, by the pattern of its folder."""


def _navigated(app: Any, name: str, source: list[str]) -> None:
    folder, taken = Path(app.srcdir), {name}
    for caption, patterns in NAVIGATION.get(name, {}).items():
        found = [path for pattern in patterns for path in sorted(folder.glob(f"{pattern}.md"))]
        pages = [str(path.relative_to(folder).with_suffix("")) for path in found]
        entries = [f"/{page}" for page in dict.fromkeys(pages) if page not in taken]
        taken |= set(pages)
        title = f":caption: {caption}\n" if caption else ""
        source[0] += "\n```{toctree}\n:hidden:\n" + title + "\n" + "\n".join(entries) + "\n```\n"


def setup(app: Any) -> None:
    app.connect("source-read", _navigated)
