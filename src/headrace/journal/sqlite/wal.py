"""Lost commits: SQLite reads its write-ahead log up to the first frame that is broken, and passes over the rest.

That is right for a commit that a power cut interrupted, which no caller was answered. It is wrong for a log that is
damaged in its middle: what follows was committed and answered. Two commits of one unbroken chain behind the place where
SQLite stopped prove that, since the second began after the first was on the disk. Format: sqlite.org/walformat.html.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from headrace.errors import Damaged

HEADER_BYTES, FRAME_BYTES = 32, 24
_MAGIC = (0x377F0682, 0x377F0683)
_WORD = 0xFFFFFFFF
_INDEX_FRAMES_AT = 16
"""The offset at which the index of the log (`-shm`) holds the number of frames that SQLite reads."""


class _Frame(NamedTuple):
    is_commit: bool
    salts: tuple[int, int]
    stored: tuple[int, int]
    """The checksum, which continues that of the frame before."""
    checked: bytes


def require_whole_log(path: Path) -> None:
    """Require that every commit in the log can be read. Changes nothing; raises Damaged."""
    log = path.with_name(path.name + "-wal")
    if not log.exists() or log.stat().st_size <= HEADER_BYTES:
        return
    with log.open("rb") as file:
        header = file.read(HEADER_BYTES)
    magic, _, page_bytes, _, *salts, first, second = struct.unpack(">8I", header)
    order = ">" if magic & 1 else "<"
    if magic not in _MAGIC or _checksum(order, (0, 0), header[:24]) != (first, second):
        raise Damaged(f"{log.name} is damaged in its header; keep both files, and restore a backup")
    lost = _lost_commits(_frames(log, page_bytes, _frames_read(path)), order, (salts[0], salts[1]))
    if lost >= 2:
        raise Damaged(f"{log.name} is damaged: {lost} commits cannot be read; keep both files, and restore a backup")


def _frames_read(path: Path) -> int:
    """How many frames SQLite reads. A connection that may not write leaves the log as it is."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        index = path.with_name(path.name + "-shm").read_bytes()  # as long as the connection is open, it is there
    return struct.unpack_from("=I", index, _INDEX_FRAMES_AT)[0]


def _frames(log: Path, page_bytes: int, after: int) -> Iterator[_Frame]:
    """The frames behind the last one that SQLite reads."""
    with log.open("rb") as file:
        file.seek(HEADER_BYTES + after * (FRAME_BYTES + page_bytes))
        while len(content := file.read(FRAME_BYTES + page_bytes)) == FRAME_BYTES + page_bytes:
            _, size, *salts, first, second = struct.unpack(">6I", content[:FRAME_BYTES])
            yield _Frame(size > 0, (salts[0], salts[1]), (first, second), content[:8] + content[FRAME_BYTES:])


def _lost_commits(frames: Iterator[_Frame], order: str, salts: tuple[int, int]) -> int:
    """The most commits in one unbroken chain. The first frame of a chain is taken on trust."""
    most = commits = 0
    before: _Frame | None = None
    for frame in frames:
        if frame.salts != salts:  # left over from before the log began anew
            before, commits = None, 0
            continue
        if before is None or _checksum(order, before.stored, frame.checked) != frame.stored:
            commits = 0
        commits += frame.is_commit
        most, before = max(most, commits), frame
    return most


def _checksum(order: str, start: tuple[int, int], content: bytes) -> tuple[int, int]:
    first, second = start
    for one, other in struct.iter_unpack(f"{order}2I", content):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return first, second
