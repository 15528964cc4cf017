"""Read the rules about approvals from the operator's file."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import yaml

from headrace.errors import InvalidValue
from headrace.workflows.approval_rules import NO_RULES, ApprovalRules, parse_rules

VARIABLE = "HEADRACE_APPROVAL_RULES"
MAX_BYTES = 1 << 20


def read_rules(path: Path | None) -> ApprovalRules:
    """The rules in a YAML or JSON file; none without a file. Raises InvalidValue, which names the member and why."""
    if path is None:
        return NO_RULES
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidValue(VARIABLE, f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise InvalidValue(VARIABLE, f"{path} has more than {MAX_BYTES:,} bytes")
    try:
        value = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidValue(VARIABLE, f"{path} is not YAML: {' '.join(str(error).split())}") from None
    try:
        return parse_rules(value, f"sha256:{sha256(data).hexdigest()}")
    except InvalidValue as error:
        raise InvalidValue(VARIABLE, f"{path}: {error}") from None
