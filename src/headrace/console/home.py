"""Home: what needs a person, and what failed today. Each figure leads to the list that it is of."""

from __future__ import annotations

from headrace.console.filters import begin_of
from headrace.console.pages import Page, Place
from headrace.console.words import DAY
from headrace.journal.lists import NEWEST, AttentionList, InstanceSearch

SHOWN = 10


async def show_home(place: Place) -> Page:
    """The first page: figures, effects that need a decision, and the newest runs that failed or are retried."""
    journal, now_at = place.ports.journal, place.ports.clock.now_at()
    running, attention = await journal.counts()
    effects = await journal.attention_after(AttentionList(), NEWEST, SHOWN)
    today = InstanceSearch(status="failed", since_at=begin_of(now_at, DAY))
    failed = await journal.summaries_after(today, NEWEST, SHOWN + 1)
    retrying = await journal.summaries_after(InstanceSearch(status="retrying"), NEWEST, SHOWN + 1)
    values = {
        "running": running,
        "attention": attention,
        "effects": effects,
        "failed": failed,
        "failures": await place.counts.of(journal, today),
        "retrying": retrying,
        "shown": SHOWN,
    }
    return Page("home.html", "Home", values)
