"""Writes every page that has changed."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.generator.pages import pages

FOLDER = Path(__file__).parents[1]


def main() -> None:
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            sys.stdout.write(f"docs/{name}\n")


if __name__ == "__main__":
    main()
