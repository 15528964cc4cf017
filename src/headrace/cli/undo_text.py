"""The preview of an undo as text: 80 columns, with the money of each effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headrace.cli.display import hanging, money
from headrace.cli.plan_text import payout_words

if TYPE_CHECKING:
    from headrace_client import CaseEffect, UndoPreview

Json = dict[str, Any]

PAID = "the payout is paid"
"""The reason for which an undo keeps a payout that is paid."""


def undo_lines(found: UndoPreview, *, external: str) -> list[str]:
    """The preview of an undo, one item for each effect. `external`: the choice for a payout that is paid."""
    effects = {each.key: each for each in found.effects or []}
    lines = [
        f"Reverts {counted(len(found.stages))}, the last one first" if found.stages else "Nothing can be taken back."
    ]
    for number, stage in enumerate(found.stages, 1):
        kind, given = next(iter(stage["revert"].items()))
        effect = effects.get(given.get("key") or given["reference"])
        unless = ", unless the payout it funded is paid" if "unlessPaid" in given else ""
        lines += hanging(f"  {number}. {_taken_back(kind, given, effect)}{unless}", "     ")
    for heading, left in (("Keeps", found.kept), ("A person must decide first", found.blocked)):
        lines += ["", heading] if left else []
        for each in left:
            reason = "it is paid" if each.reason == PAID else each.reason
            for key, effect in effects.items():
                if effect.activity == "CreateTransferInitiation":
                    reason = reason.replace(f"payout {key}", payout_words(effect.input))
            words, effect = _WORDS.get(each.activity), effects.get(each.key)
            what = f"{each.activity} of stage {each.stage}" if not words or not effect else words(effect.input)
            lines += hanging(f"  {what}: {reason}", "    ")
    if external == "keep" and any(each.reason == PAID for each in found.kept):
        lines += ["", "--external reverse asks the provider to reverse a payout that is paid."]
    return lines


def counted(effects: int) -> str:
    return "1 effect" if effects == 1 else f"{effects} effects"


def _taken_back(kind: str, given: Json, effect: CaseEffect | None) -> str:
    """A revert in a sentence. `effect`: the one that it reverts; None from a server of an earlier release."""
    if kind == "transaction":
        which = f"transaction {given['id']} of ledger {given['ledger']}"
        if effect is None:
            return which
        back = "; ".join(
            f"{each['destination']} gives back {money(each['amount'], each['asset'])} to {each['source']}"
            for each in reversed(effect.input["data"]["postings"])
        )
        return f"{back} ({which})"
    amount = money(given["amount"], given["asset"])
    if kind == "wallet":
        verb = "gets" if effect is not None and effect.activity == "DebitWallet" else "gives"
        return f"wallet {given['id']} {verb} back {amount}"
    payout = f"payout of {amount}" if effect is None else payout_words(effect.input)
    return f"the {payout} is rejected, or {'kept' if given.get('external') == 'keep' else 'reversed'} if it is paid"


def _moved(shown: Json) -> str:
    return "; ".join(
        f"{money(each['amount'], each['asset'])} from {each['source']} to {each['destination']}"
        for each in shown["data"]["postings"]
    )


_WORDS: dict[str, Callable[[Json], str]] = {
    "CreateTransaction": _moved,
    "AddAccountMetadata": lambda shown: f"the metadata of {shown['id']}",
    "CreditWallet": lambda shown: f"{money(**shown['data']['amount'])} to wallet {shown['id']}",
    "DebitWallet": lambda shown: f"{money(**shown['data']['amount'])} from wallet {shown['id']}",
    "CreateTransferInitiation": lambda shown: f"the {payout_words(shown)}",
}
"""By the name of an effect, what it has moved, where an undo keeps it."""
