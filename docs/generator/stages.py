"""The page of stages. What `send` does is not retold: the stages are run, over services that answer from here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from docs.generator.activities import activities
from docs.generator.markdown import block, code, page, table
from docs.generator.operations import description
from docs.generator.types import members
from headrace.workflows.activities import (
    Activity,
    CreateTransaction,
    CreateTransferInitiation,
    CreditWallet,
    DebitWallet,
    GetAccount,
    GetPayment,
    GetWallet,
    Json,
)
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.send.parties import DEFAULT_DESTINATION_KEY
from headrace.workflows.stages.stage import StageContext

INTRODUCTION = """A workflow is a list of stages, run one after the other. Each stage is an object with one member, its
keyword. Beside it there may be `when`, an expression that decides
whether the stage runs: [conditions](../how-to/conditions.md). Texts may hold placeholders: [variables](variables.md). A mistake in a definition is reported when it is created,
everything at once, with line and column where it is YAML; what only the values get wrong ends the stage, before
anything is sent."""

MATRIX = """What a `send` asks of the services, in order, as stage history shows it. Reads come first: money moves
only when everything that is needed is known. Here the sender is account `a` or wallet `W`, the receiver account `b` or
wallet `V`; ledgers are `one` and `two`; `world` stands wherever no `throughAccount` is given. Each line that moves money
is one transaction with one posting."""
RULES = f"""* **Between ledgers.** A `throughAccount` takes the place of `world` on the ledger of its own side, where the money leaves
  the source's ledger, or comes to the destination's; for a payment also where its holding account is filled from.
  What a wallet pays to elsewhere goes to `world`, and what it is paid from elsewhere comes from there.
* **Wallets.** A wallet given by `name` is looked up first (`ListWallets`). No wallet of that name, or several, end
  the stage. Which account holds a wallet's money, the wallets service decides.
* **Payments as a source** must be a `PAY-IN` with status `SUCCEEDED`, in the asset that is sent and of at least its
  amount. The whole payment is booked on its holding account, once for each ledger, however many sends take from it;
  then the sent amount leaves the holding account. The holding account is `payment:ID`; where the id does not fit an
  address, `payment:hex:` and its bytes in hexadecimal digits, or `payment:sha256:` and its hash where that is too long.
* **Payments as a destination.** The provider's account to pay to is read from the sender's metadata, under the key
  {code(DEFAULT_DESTINATION_KEY)} or the one that `metadata` names. Without it the stage ends before money moves. The
  stage succeeds when the payments service has accepted the transfer initiation; it does not wait for the provider.
* **Overdraft.** `allowOverdraft` on an account lets it go below zero where the table shows it as the source of a ledger
  transaction. It has no effect where a wallet's credit takes the money.
* **`world`** may be overdrawn without limit, so event data may not choose it: an account that pays and is `world` because
  a variable says so is refused in a run that a trigger started (`HEADRACE_ALLOW_WORLD_FROM_TRIGGER` changes it).
* **`metadata` and `timestamp`** are on every transaction, wallet credit and debit of the stage, the metadata also on a
  transfer initiation. What books a whole payment on its holding account is shared, and has only the payment's id.
* **Two legs.** Where a flow has two transactions, the second is retried until it is booked or refused. A refusal ends
  the stage with an error that names what is booked already; nothing is moved back silently."""


def stages_page() -> str:
    return page(
        "Stages",
        INTRODUCTION,
        *(_stage(keyword) for keyword in STAGES),
        "## The send matrix",
        MATRIX,
        table(("From", "To", "Ledgers", "What happens"), _rows()),
        "## Rules of send",
        RULES,
        *activities(),
    )


def _stage(keyword: str) -> str:
    shapes: Json = description()["components"]["schemas"]
    stage = STAGES[keyword]
    parts = [f"## {keyword}", stage.about, block("yaml", stage.example)]
    for name in _shapes_below(stage.shape.name, shapes):
        shape: Json = shapes[name]
        parts.append(f"**{name}.** {shape.get('description', '')}")
        parts.append(members(shape))
    return "\n\n".join(part for part in parts if part)


def _shapes_below(name: str, shapes: Json) -> Iterator[str]:
    """This shape and those it refers to, each once."""
    waiting, seen = [name], set[str]()
    while waiting:
        here = waiting.pop(0)
        if here in shapes and here not in seen:
            seen.add(here)
            yield here
            properties: Json = shapes[here].get("properties", {})
            waiting += [found for schema in properties.values() for found in _references(schema)]


def _references(schema: Json) -> Iterator[str]:
    if "$ref" in schema:
        yield schema["$ref"].rsplit("/", 1)[-1]
    for choice in schema.get("anyOf", ()):
        yield from _references(choice)


# the matrix

ONE, TWO = "one", "two"
INGESTION = "orchestration-000-internal"


def _account(identity: str, ledger: str) -> Json:
    return {"account": {"id": identity, "ledger": ledger}}


def _rows() -> Iterator[tuple[str, str, str, str]]:
    for source in ("account", "wallet", "payment"):
        for destination in ("account", "wallet", "payment"):
            yield from _rows_of(source, destination)


def _rows_of(source: str, destination: str) -> Iterator[tuple[str, str, str, str]]:
    if (source, destination) == ("payment", "payment"):
        yield source, destination, "", "refused when the workflow is created"
    elif destination == "payment":
        yield source, destination, "", _played(_source(source, ONE), {"payment": {"psp": "stripe", "type": "PAYOUT"}})
    else:
        for is_same in (True, False):
            to = ONE if is_same else TWO
            where = "the same" if is_same else "different"
            yield source, destination, where, _played(_source(source, ONE), _destination(destination, to))
        if source == "payment":
            body = {"payment": {"id": "P"}}
            yield source, destination, "payment without `ledger`", _played(body, _destination(destination, TWO))


def _source(kind: str, ledger: str) -> Json:
    if kind == "account":
        return _account("a", ledger)
    return {"wallet": {"id": f"W-{ledger}"}} if kind == "wallet" else {"payment": {"id": "P", "ledger": ledger}}


def _destination(kind: str, ledger: str) -> Json:
    return _account("b", ledger) if kind == "account" else {"wallet": {"id": f"V-{ledger}"}}


def _played(source: Json, destination: Json) -> str:
    body: Json = {"source": source, "destination": destination, "amount": {"amount": 100, "asset": "USD/2"}}
    stage, context = STAGES["send"], StageContext(0, body)
    run = stage.run(stage.normalise(body, context), context)
    lines: list[str] = []
    result: Any = None
    while True:
        try:
            command = run.send(result)
        except StopIteration:
            return "<br>".join(lines)
        result = _answer(command)
        lines.append(_line(cast("Activity", command)))


def _answer(command: object) -> Json | None:
    match command:
        case GetWallet():
            name, _, ledger = command.id.partition("-")
            return {"id": name, "ledger": ledger, "metadata": {DEFAULT_DESTINATION_KEY: "acct"}}
        case GetAccount():
            return {"address": command.id, "metadata": {DEFAULT_DESTINATION_KEY: "acct"}}
        case GetPayment():
            return {"type": "PAY-IN", "status": "SUCCEEDED", "asset": "USD/2", "initialAmount": 100}
        case _:
            return None


def _line(command: Activity) -> str:
    """One activity: its name and, where it moves money, from where to where."""
    match command:
        case CreateTransaction():
            where = f"on `{command.ledger}`: `{command.posting['source']}` → `{command.posting['destination']}`"
            return f"`CreateTransaction` {where}"
        case CreditWallet():
            source = command.sources[0]["identifier"]
            return f"`CreditWallet` `{source}` → wallet `{_wallet(command.id)}`"
        case DebitWallet():
            return f"`DebitWallet` wallet `{_wallet(command.id)}` → {_subject(command.destination)}"
        case CreateTransferInitiation():
            return f"`CreateTransferInitiation` to the account at `{command.provider}`"
        case GetWallet():
            return f"`GetWallet` `{_wallet(command.id)}`"
        case _:
            return f"`{command.name}`"


def _subject(subject: Json | None) -> str:
    if subject is None:
        return "`world`"
    identity: str = subject["identifier"]
    return f"wallet `{_wallet(identity)}`" if subject["type"] == "WALLET" else f"`{identity}`"


def _wallet(identity: str) -> str:
    return identity.partition("-")[0]
