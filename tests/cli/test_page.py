"""What the page about the command line shows is run as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from headrace.cli import exits

TEXT = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()


def test_profiles_as_written(headrace: Any) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    told: list[str] = []
    for command in block.splitlines():
        ran = headrace(*shlex.split(command)[1:], stdin="hush\n")
        assert ran.code == 0, ran.err
        told.append(ran.out)
    assert "http://127.0.0.1:8484 (profile laptop)" in told[3]
    assert "https://staging.example.com" in told[4] and "client back-office" in told[4]
    assert told[5].splitlines()[2].startswith("*  laptop")


def test_the_exit_codes_are_those_there_are() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \| [a-z]", TEXT.partition("## Exit codes")[2], re.MULTILINE)}
    ours = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert codes == {0} | ours


def test_the_variables_it_names_are_those_that_are_read() -> None:
    from headrace.cli import connection

    read = {value for value in vars(connection).values() if isinstance(value, str) and value.startswith("HEADRACE_")}
    assert read | {"HEADRACE_CONFIG"} == set(re.findall(r"HEADRACE_[A-Z_]+", TEXT))
