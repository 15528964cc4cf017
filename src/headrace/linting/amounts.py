"""Rules about amounts, assets and times of sends."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace.expr import nodes
from headrace.linting.rule import Level, Remark, rule
from headrace.linting.workflow import Key, Send, Trigger, Workflow, is_literal

_ONE = ""
"""The term of an amount that stands for the number 1; other terms are texts with placeholders."""


@rule("asset-precision", Level.ERROR)
def asset_precision(workflow: Workflow) -> Iterator[Remark]:
    """One asset is used with different numbers of decimals, such as `USD/2` beside `USD/4` or `USD`.

    Use one of them throughout: to a ledger they are different assets, and 100 of one is not 100 of the other.
    """
    first: dict[str, str] = {}
    for send in workflow.sends:
        if is_literal(send.asset) and first.setdefault(_code(send.asset), send.asset) != send.asset:
            yield Remark(f"{send.path}.amount.asset", f"`{send.asset}` stands beside `{first[_code(send.asset)]}`")


@rule("asset-mismatch", Level.ERROR)
def asset_mismatch(workflow: Workflow) -> Iterator[Remark]:
    """An account is funded here in one asset and pays in another one, which it does not get here.

    Correct one of the assets. If the account has the other asset from elsewhere, as a currency desk does, allow the
    finding with that reason.
    """
    funded: defaultdict[Key, set[str]] = defaultdict(set)
    perhaps = {send.destination.key for send in workflow.sends if send.index in workflow.conditional}
    for send in workflow.sends:
        given = funded.get(send.source.key or (), set())
        is_known = all(map(is_literal, (send.asset, *given))) and send.source.key not in perhaps
        if given and is_known and _code(send.asset) not in map(_code, given):
            message = f"{send.source.name} pays `{send.asset}` and is funded in {_listed(given)}"
            yield Remark(f"{send.path}.amount.asset", message)
        if send.destination.key is not None:
            funded[send.destination.key].add(send.asset)


@rule("splits-exceed", Level.ERROR)
def splits_exceed(workflow: Workflow) -> Iterator[Remark]:
    """More leaves an account or a payment than it is given here: the last send fails, and those before it are booked.

    Correct the amounts. If the account has more from elsewhere, allow the finding with that reason.
    """
    for missing, send in _Balances(workflow).excesses:
        message = f"{_shown(missing)} more `{send.asset}` leaves {send.source.name} than it is given"
        yield Remark(f"{send.path}.amount.amount", message)


@rule("splits-leave-rest", Level.WARNING)
def splits_leave_rest(workflow: Workflow) -> Iterator[Remark]:
    """Less leaves an account than it is given here, so that a rest stays on it.

    Send the rest on, or correct the amounts. If it is meant to stay, allow the finding with that reason.
    """
    for rest, send in _Balances(workflow).rests():
        message = f"{_shown(rest)} `{send.asset}` stays on {send.source.name} after its last send"
        yield Remark(f"{send.path}.amount.amount", message)


@rule("zero-amount", Level.WARNING)
def zero_amount(workflow: Workflow) -> Iterator[Remark]:
    """A send moves an amount of 0, which books a transaction that changes no balance.

    Write the amount that is meant, or remove the stage.
    """
    for send in workflow.sends:
        if is_literal(send.amount) and int(send.amount) == 0:
            yield Remark(f"{send.path}.amount.amount", "the amount is 0")


@rule("fixed-timestamp", Level.WARNING)
def fixed_timestamp(workflow: Workflow) -> Iterator[Remark]:
    """Every run books its transactions at one moment, which is written in the definition.

    Leave `timestamp` out, so that they take effect when they are booked, or take it from a variable.
    """
    for send in workflow.sends:
        if is_literal(send.timestamp):
            yield Remark(f"{send.path}.timestamp", f"every run books at {send.timestamp}")


@dataclass(slots=True)
class _Holder:
    """Balances of one holder by asset, and its last send of each."""

    balances: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    last: dict[str, Send] = field(default_factory=dict[str, Send])
    has_more: bool = False
    is_exceeded: bool = False

    @property
    def is_known(self) -> bool:
        """False if it has money from elsewhere, or two assets of which one may be the other."""
        assets = self.balances.keys() | self.last.keys()
        return not self.has_more and (len(assets) == 1 or all(map(is_literal, assets)))


class _Balances:
    """Balances of every holder during a run, as far as the run itself funds them.

    Amounts are sums: factors of 1 and of texts with placeholders, which stand for unknown amounts of at least 0.
    A holder that pays before it is funded has money from elsewhere, so nothing is known about it; nor is anything about
    one whose money moves in a stage that may be skipped.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._holders: defaultdict[Key, _Holder] = defaultdict(_Holder)
        self.excesses: list[tuple[Counter[str], Send]] = []
        """The first send of each holder that certainly exceeds what it has, and by how much."""
        for trigger in workflow.triggers:
            self._fund_payments(workflow, trigger)
        for send in workflow.sends:
            amount = Counter({_ONE: int(send.amount)} if is_literal(send.amount) else {str(send.amount): 1})
            if send.index in workflow.conditional:
                for party in send.parties:
                    self._holders[party.key or ()].has_more = True
            if send.source.key is not None:
                self._pay(send, self._holders[send.source.key], amount)
            if send.destination.key is not None:
                self._holders[send.destination.key].balances.setdefault(send.asset, Counter()).update(amount)

    def rests(self) -> Iterator[tuple[Counter[str], Send]]:
        """Yield the last send of each holder that certainly keeps a rest, with the rest."""
        for holder in self._holders.values():
            for asset, send in holder.last.items():
                if holder.is_known and _is_positive(holder.balances.get(asset, Counter())):
                    yield holder.balances[asset], send

    def _fund_payments(self, workflow: Workflow, trigger: Trigger) -> None:
        """Give a payment its whole amount, if the trigger passes both on as variables."""
        members = {name: _member(node) for name, node in trigger.expressions.items()}
        wholes = [f"${{{name}}}" for name, member in members.items() if member in ("amount", "initialAmount")]
        for send in workflow.sends:
            identity = send.source.members.get("id", "")
            is_whole = send.source.kind == "payment" and members.get(identity[2:-1]) == "id"
            if is_whole and len(wholes) == 1 and identity == f"${{{identity[2:-1]}}}" and send.source.key is not None:
                self._holders[send.source.key].balances.setdefault(send.asset, Counter({wholes[0]: 1}))

    def _pay(self, send: Send, holder: _Holder, amount: Counter[str]) -> None:
        holder.has_more |= not holder.balances
        holder.last[send.asset] = send
        balance = holder.balances.get(send.asset)
        if balance is None:
            return
        balance.subtract(amount)
        missing = Counter({term: -factor for term, factor in balance.items()})
        may_exceed = holder.is_exceeded or send.source.members.get("allowOverdraft", False) is not False
        if holder.is_known and not may_exceed and _is_positive(missing):
            holder.is_exceeded = True
            self.excesses.append((missing, send))


def _is_positive(amount: Counter[str]) -> bool:
    """True if an amount is certainly not negative, and not 0 unless its variables are."""
    factors = [factor for factor in amount.values() if factor]
    return bool(factors) and min(factors) > 0


def _shown(amount: Counter[str]) -> str:
    factors = {term: factor for term, factor in sorted(amount.items()) if factor}
    number = [str(factors.pop(_ONE))] if _ONE in factors else []
    return " + ".join(
        [*(f"`{term}`" if factor == 1 else f"{factor} x `{term}`" for term, factor in factors.items()), *number]
    )


def _member(node: nodes.Node) -> str:
    """The name of the member of the event that an expression is, as `event.amount` or `int(event.amount)`."""
    if isinstance(node, nodes.Builtin) and node.name in ("int", "string") and len(node.arguments) == 1:
        node = node.arguments[0]
    if isinstance(node, nodes.Member) and isinstance(node.base, nodes.Name) and node.base.name == "event":
        return str(node.key.value) if isinstance(node.key, nodes.Literal) else ""
    return ""


def _code(asset: str) -> str:
    return asset.partition("/")[0]


def _listed(assets: set[str]) -> str:
    return ", ".join(f"`{each}`" for each in sorted(assets))
