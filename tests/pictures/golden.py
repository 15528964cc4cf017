"""Golden pictures of each example in each state. `python -m tests.pictures.golden` writes them anew."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from headrace.pictures.mermaid import mermaid
from headrace.pictures.svg import svg
from headrace.pictures.text import text_lines
from tests.pictures.runs import EXAMPLES, STATES, case_in, in_state

FOLDER = Path(__file__).with_name("golden")
DRAWN = "15-saga"
"""The example of which the SVG is kept too."""
DOCS = Path(__file__).parents[2] / "docs/images/flow.svg"
IN_DOCS = f"{DRAWN}-aborted.svg"
"""The picture at the top of `docs/how-to/see-the-money.md`."""


def drawn(example: str) -> dict[str, str]:
    """The files of an example, by their names."""
    suite, _, wanted = case_in(example)
    files: dict[str, str] = {}
    parts: list[str] = []
    for state in STATES:
        with in_state(suite.world, wanted, state) as (_, flow):
            picture = svg(flow)
            sha = sha256(picture.encode()).hexdigest()[:16]
            text = "\n".join(text_lines(flow)).replace(" \n", "\n")
            parts.append(f"# {state}\n\n{text}\n\n{mermaid(flow)}\nsvg {sha}\n")
            if example == DRAWN:
                files[f"{example}-{state}.svg"] = picture
    return {f"{example}.txt": "\n".join(parts), **files}


def main() -> None:
    for example in EXAMPLES:
        for name, text in drawn(example).items():
            (FOLDER / name).write_text(text, encoding="utf-8")
    DOCS.write_text((FOLDER / IN_DOCS).read_text("utf-8"), encoding="utf-8")


if __name__ == "__main__":
    main()
