"""The rules of a definition by name. A name never changes its meaning: people and programs look for it.

`headrace workflows validate` and the API's refusals name the rule that was broken;
`docs/how-to/validate-in-the-editor.md` lists them.
"""

from __future__ import annotations

from headrace.workflows.stages import STAGES

_KEYWORDS = [f"`{keyword}`" for keyword in STAGES]

SYNTAX = "syntax"
"""The one rule that is not checked here but where the text is read."""

RULES: dict[str, str] = {
    SYNTAX: "The file is YAML or JSON: no key twice, no anchors, aliases or tags, nothing JSON cannot say.",
    "workflow": "A workflow is an object with `stages`, and perhaps a `name` and `on_failure`.",
    "name": "A workflow's name is text of at most 1,024 bytes.",
    "on-failure": "`on_failure` is `undo`, or left out.",
    "stages": "`stages` is a list of 1 to 1,000 stages.",
    "stage": f"A stage is an object with exactly one keyword: {', '.join(_KEYWORDS[:-1])} or {_KEYWORDS[-1]}; beside "
    "it there may be `when`.",
    "when": "`when` is an expression that is true or false. It names variables, and stages before its own.",
    "object": "This is an object.",
    "unknown-key": "Only the keys that are documented are known here.",
    "missing": "This must be given.",
    "exactly-one": "Exactly one of these is given.",
    "needs": "This is given together with another member only.",
    "wallet-reference": "A wallet is given by its `id` or by its `name`, not by both.",
    "payment-to-payment": "A payment cannot be sent to a payment.",
    "account-address": "Segments of letters, digits, `_` and `-`, joined by `:`, at most 256 bytes in all.",
    "holding-account": "An account address, but not `world`, which can be overdrawn without limit.",
    "ledger-name": "1 to 63 letters, digits, `_` and `-`.",
    "asset": "An asset and its decimals, such as `USD/2` or `USDC_POLYGON/6`: a capital letter, at most 16 capitals "
    "and digits, perhaps `_` and 1 to 16 capitals, perhaps `/` and 1 to 6 digits.",
    "amount": "An integer of at most 1,000 digits, as a number or as text: no sign, point or leading zero.",
    "approvals": "A whole number from 1 to 5, as a number or as text.",
    "boolean": "`true` or `false`.",
    "choice": "One of the words that are listed.",
    "balance-name": "1 to 255 letters, digits, `_` and `-`.",
    "plain-name": "1 to 255 letters, digits, `_` and `-`, beginning with a letter or digit.",
    "payments-id": "An id of the payments service: 1 to 1,024 letters, digits and `_=+/.:|~@-`, no part `.` or `..`.",
    "label": "Text of 1 to 1,024 bytes without control characters.",
    "duration": "A length of time of at most 100 years, such as `5s`, `1h30m`, `500ms` or `7d`.",
    "date": "A date and time with its offset, such as `2030-01-01T00:00:00Z`.",
    "booking-date": "A date and time with its offset, but not in year 1, which a ledger reads as no timestamp at all.",
    "metadata": "An object of texts.",
    "metadata-key": "1 to 255 bytes without control characters; in `send` it does not begin with `headrace_`.",
    "metadata-value": "Text of at most 65,536 bytes.",
    "too-many-problems": "No more than 1,000 problems are listed.",
}
