"""Functions are as long as their thought: the share of lone helpers only falls (`tests/tidy/structure.py` counts)."""

from __future__ import annotations

from tests.tidy import house, structure

MAX_LONE = 0.225
"""What the product has. Lower it with each package that is written linearly, down to `structure.GOAL_LONE`."""

SAMPLE = """
def public():
    return _once() + _twice() + _twice()


def _once():
    return 1


def _twice():
    return 2


def _handed_over():
    return 3


HANDLERS = [_handed_over]


class Thing:
    def method(self):
        return self._lone() + self.__len__()

    def _lone(self):
        return self._recursive()

    def _recursive(self):
        return self._recursive()

    def __len__(self):
        return 0
"""


def test_the_share_of_lone_helpers_does_not_grow() -> None:
    figures = structure.Figures.of(structure.functions())
    assert figures.functions > 2000
    assert figures.lone <= MAX_LONE, f"{figures}: `python -m tests.tidy.structure src/headrace/NAME` lists them"
    assert figures.p90_lines <= max(structure.GOAL_P90_LINES), figures


def test_lone_helpers_of_a_sample() -> None:
    """One call makes a lone helper; two calls, a mention without a call, or a recursion do not."""
    found = list(structure.functions_of(house.Source.of("src/sample.py", SAMPLE)))
    assert [each.name for each in found if each.is_lone_helper] == ["_once", "_lone"]
    assert structure.Figures.of(found) == structure.Figures(8, 0.25, 2)
