"""News of a commit for other processes. It is a hint: they look by themselves from time to time.

The payload of a notification is like `e:i1,i2;n:i3;i;o`: instances that ended, instances that a process has to look at,
the inbox, the outbox. `e:*` stands for more instances than a notification can name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.journal import writes as w
from headrace.journal.writes import Write

CHANNEL = "headrace"
MAX_BYTES = 7_900
"""PostgreSQL refuses longer payloads than 8,000 bytes."""
NEWSWORTHY: frozenset[type[Write]] = frozenset((w.EndInstance, w.AddNudge, w.AcceptEvent, w.Publish, w.WantType))


@dataclass(slots=True)
class News:
    """`ended` and `nudged`: ids of instances; None: too many to name."""

    ended: list[str] | None = field(default_factory=list[str])
    nudged: list[str] | None = field(default_factory=list[str])
    accepted: bool = False
    published: bool = False
    wanted: set[str] = field(default_factory=set[str])
    """Types of events that became wanted; not part of a notification."""

    def note(self, write: Write) -> None:
        """A write that succeeded."""
        if isinstance(write, w.EndInstance) and self.ended is not None:
            self.ended.append(write.instance_id)
        elif isinstance(write, w.AddNudge) and self.nudged is not None:
            self.nudged.append(write.instance_id)
        elif isinstance(write, w.AcceptEvent):
            self.accepted = True
        elif isinstance(write, w.Publish):
            self.published = True
        elif isinstance(write, w.WantType):
            self.wanted.add(write.type)

    def payload(self) -> str:
        """Empty: there is nothing to tell."""
        parts = _names("e", self.ended) + _names("n", self.nudged)
        flags = ["i"] * self.accepted + ["o"] * self.published
        text = ";".join(parts + flags)
        if len(text) <= MAX_BYTES:
            return text
        return ";".join([f"{part[0]}:*" for part in parts] + flags)


def news_of(payload: str) -> News:
    """Decode the payload of a notification. A part that is not known is passed over."""
    news = News()
    for part in payload.split(";"):
        kind, _, names = part.partition(":")
        listed = None if names == "*" else names.split(",") if names else []
        if kind == "e":
            news.ended = listed
        elif kind == "n":
            news.nudged = listed
        news.accepted = news.accepted or kind == "i"
        news.published = news.published or kind == "o"
    return news


def _names(kind: str, ids: list[str] | None) -> list[str]:
    if ids is None:
        return [f"{kind}:*"]
    return [f"{kind}:{','.join(ids)}"] if ids else []
