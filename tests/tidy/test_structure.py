"""Functions are as long as their thought: few lone helpers, no long files (`tests/tidy/structure.py` counts)."""

from __future__ import annotations

from tests.tidy import repository, structure

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


def routed(path):
    match path:
        case ["workflows"]:
            return _entry_of_a_table()
        case _:
            return [_of_item(each) + _expression(each) for each in path]


def _entry_of_a_table():
    return 4


def _of_item(item):
    item += 1
    return item


def _expression(item):
    return item + 1


@contextmanager
def _opened():
    yield


async def start():
    with _opened():
        create_task(_body_of_a_task())
    return await _awaited()


async def _body_of_a_task():
    pass


async def _awaited():
    pass


class Thing:
    def method(self):
        return self._lone() + self.__len__() + self._in_both() + self._overridden()

    def _lone(self):
        return self._recursive()

    def _recursive(self):
        return self._recursive()

    def _in_both(self):
        return 0

    def _overridden(self):
        return 0

    def __len__(self):
        return 0


class Other:
    def method(self):
        return self._in_both()

    def _in_both(self):
        return 1


class Special(Thing):
    def _overridden(self):
        return 1
"""

LONE = ["_once", "_expression", "_awaited", "_lone", "_in_both", "_in_both"]


def test_few_functions_are_lone_helpers_and_functions_are_neither_short_nor_long() -> None:
    figures = structure.Figures.of(structure.functions())
    assert figures.functions > 2000
    assert figures.lone < structure.GOAL_LONE, f"{figures}: `python -m tests.tidy.structure --list FOLDER` lists them"
    assert figures.p90_lines in structure.GOAL_P90_LINES, figures


def test_no_file_of_the_product_is_long() -> None:
    lines = {path: len(repository.read(path).text.splitlines()) for path in repository.product_files()}
    assert {path: count for path, count in lines.items() if count > repository.MAX_LINES} == {}


def test_lone_helpers_of_a_sample() -> None:
    """One direct call makes a lone helper, counted for each class.

    Not so two calls, a mention without a call, an entry of a table, a function that a comprehension applies, the body
    of a task, a context manager, a recursion, an override.
    """
    found = list(structure.functions_of(repository.Source.of("src/sample.py", SAMPLE)))
    assert [each.name for each in found if each.is_lone_helper] == LONE
    assert structure.Figures.of(found) == structure.Figures(21, 6 / 21, 3)
