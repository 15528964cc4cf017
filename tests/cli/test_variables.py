from __future__ import annotations

import pytest

from headrace.cli.errors import USAGE, Failure
from headrace.cli.variables import read_variables


@pytest.mark.parametrize(
    ("given", "variables"),
    [
        ([], {}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1,b=2"], {"a": "1", "b": "2"}),
        (["note=one, two"], {"note": "one, two"}),
        (['payment={"a":1,"b":2}'], {"payment": '{"a":1,"b":2}'}),
        (["a=x=y"], {"a": "x=y"}),
        (["a="], {"a": ""}),
        (["amount.asset=USD/2"], {"amount.asset": "USD/2"}),
        (["a= 1 "], {"a": " 1 "}),
    ],
)
def test_reads(given: list[str], variables: dict[str, str]) -> None:
    assert read_variables(given) == variables


@pytest.mark.parametrize("given", [["a"], ["=1"], ["a=1", "a=2"], ["a=1,a=1"], [""]])
def test_refuses(given: list[str]) -> None:
    with pytest.raises(Failure) as refused:
        read_variables(given)
    assert refused.value.code == USAGE
