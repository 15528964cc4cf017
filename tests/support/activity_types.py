"""Writes the client's documents that are keyed by an activity's name: `make schema`.

The classes of most activities are written by hand in `headrace_client.activities`: they follow Formance's description,
which says more than Headrace sends. An activity without one gets a class made from the input of its example.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from headrace.workflows.activities import ACTIVITIES
from headrace_client import activities as written

FILE = Path(written.__file__).with_name("activity_types.py")
ELSEWHERE = ("StripeTransfer", "ConfirmHold", "VoidHold")
"""Activities of other servers, in both versions of the API."""
OUTPUTS = {
    "GetAccount": "AccountOutput",
    "CreateTransaction": "TransactionOutput",
    "RevertTransaction": "TransactionOutput",
    "GetPayment": "PaymentOutput",
    "DebitWallet": "HoldOutput",
    "GetWallet": "WalletOutput",
    "ListWallets": "WalletsOutput",
}
WITHOUT_OUTPUT = {"AddAccountMetadata", "CreditWallet", "CreateTransferInitiation", *ELSEWHERE}
"""An activity that is in neither table may have any output."""

HEAD = '''"""What history shows of each activity, keyed by its name. Written by `make schema`: do not edit it."""

from __future__ import annotations

{imports}from headrace_client.activities import (
{names})
{models}'''


def activity_types() -> str:
    """The whole module."""
    used: set[str] = {"ByActivity"}
    made: list[str] = []
    for name, activity in ACTIVITIES.items():
        if activity.versions and _written_class(name) is None:
            made.append(_class_text(name, activity.example().input("key")))
    v1, v2 = _described("v1"), _described("v2")
    documents = [
        _document("WorkflowInstanceHistoryStageInput", {name: _input(name, used) for name in v1}),
        _document("WorkflowInstanceHistoryStageOutput", _outputs(v1, OUTPUTS, used)),
        _document("V2WorkflowInstanceHistoryStageInput", {name: _input(name, used) for name in v2}),
        _document(
            "V2WorkflowInstanceHistoryStageOutput",
            _outputs(v2, {**OUTPUTS, "CreateTransaction": "V2TransactionOutput"}, used),
        ),
    ]
    body = "\n\n\n".join([*made, *documents]) + "\n"
    head = HEAD.format(
        imports="from typing import Any\n\n" if "Any" in body else "",
        names="".join(f"    {name},\n" for name in sorted(used)),
        models="from headrace_client.models import Model\n" if made else "",
    )
    return f"{head}\n\n{body}"


def _described(version: str) -> list[str]:
    """The names of the activities that a version of the API describes."""
    return [*(name for name, activity in ACTIVITIES.items() if version in activity.versions), *ELSEWHERE]


def _written_class(name: str) -> str | None:
    return next((each for each in (f"Activity{name}", f"{name}Request") if hasattr(written, each)), None)


def _input(name: str, used: set[str]) -> str:
    known = _written_class(name)
    if known is None:
        return f"Activity{name}"
    used.add(known)
    return known


def _outputs(names: list[str], classes: dict[str, str], used: set[str]) -> dict[str, str]:
    found = {name: classes.get(name, "dict[str, Any]") for name in names if name not in WITHOUT_OUTPUT}
    used |= {kind for kind in found.values() if hasattr(written, kind)}
    return found


def _document(name: str, members: dict[str, str]) -> str:
    lines = [f"    {_snake(member)}: {kind} | None = None" for member, kind in members.items()]
    return "\n".join([f"class {name}(ByActivity):", *lines])


def _class_text(name: str, shown: dict[str, Any]) -> str:
    lines = [f"    {_snake(member)}: {_type_of(value)} | None = None" for member, value in shown.items()]
    return "\n".join([f"class Activity{name}(Model):", *lines])


def _type_of(value: object) -> str:
    match value:
        case bool() | int() | str():
            return type(value).__name__
        case dict():
            texts = all(isinstance(each, str) for each in cast("dict[str, object]", value).values())
            return "dict[str, str]" if texts else "dict[str, Any]"
        case list():
            return "list[Any]"
        case _:
            return "Any"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    FILE.write_text(activity_types(), "utf-8")
