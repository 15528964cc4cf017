"""Named blocks of SQL: `-- name: X` starts one."""

from __future__ import annotations

from pathlib import Path

SQL = Path(__file__).parent / "sql"


def named_statements(file_name: str) -> dict[str, str]:
    blocks: dict[str, list[str]] = {}
    block: list[str] = []
    for line in (SQL / file_name).read_text("utf-8").splitlines():
        if line.startswith("-- name: "):
            block = blocks.setdefault(line.removeprefix("-- name: ").strip(), [])
        elif not line.startswith("--"):
            block.append(line)
    return {name: "\n".join(lines).strip() for name, lines in blocks.items()}
