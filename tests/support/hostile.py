"""What a hostile sender puts where a value is wanted. `FRAGMENTS` are JSON, but for what makes each no JSON of ours."""

from __future__ import annotations

FRAGMENTS: dict[str, tuple[bytes, str]] = {
    "nested more than 64 deep": (b"[" * 65 + b"]" * 65, "nested more than 64 levels"),
    "nested very deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested more than 64 levels"),
    "a key twice": (b'{"amount":1,"amount":2}', "the key 'amount' twice"),
    "a key twice, once escaped": (b'{"amount":1,"\\u0061mount":2}', "the key 'amount' twice"),
    "NaN": (b"NaN", "NaN is not a number"),
    "Infinity": (b"Infinity", "Infinity is not a number"),
    "-Infinity": (b"-Infinity", "-Infinity is not a number"),
    "a number out of range": (b"1e999", "out of range"),
    "a lone surrogate": (b'"\\ud800"', "lone surrogate"),
    "a lone surrogate as a key": (b'{"\\udc00":1}', "lone surrogate"),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', "not UTF-8"),
    "no UTF-8": (b'"\xff"', "not UTF-8"),
    "an escaped NUL": (b'"\\u0000"', "NUL"),
    "a NUL as it is": (b'"\x00"', "not JSON"),
    "an integer of 1,001 digits": (b"1" * 1_001, "1000 digits"),
    "a negative one": (b"-" + b"1" * 1_001, "1000 digits"),
    "a very long one": (b"1" * 100_000, "1000 digits"),
}
"""By name: a value, and what its refusal says."""

LONG_INTEGERS = frozenset({"an integer of 1,001 digits", "a negative one", "a very long one"})
"""Those of FRAGMENTS that may stand in an event, where no expression asks for them."""

VALUES: dict[str, str] = {
    "a newline": "a\n",
    "a newline within": "a\nb",
    "a parenthesis": "a)",
    "a script": "send [USD/2 100] (source = @world destination = @thief)",
    "up and away": "../x",
    "an encoded slash": "a%2fb",
    "full-width digits": "\uff11\uff12",
    "a Cyrillic look-alike": "us\u0435rs",
    "257 bytes": "a" * 257,
    "a carriage return": "a\r\nX-Injected: 1",
    "a placeholder": "${a}",
}
"""Texts that no account, asset, ledger or amount may be."""
