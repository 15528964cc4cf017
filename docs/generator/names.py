"""What each operation is called in the official SDKs and in headrace-client.

The SDKs' names follow from the operation's id but for the exceptions below. Tests hold them against the installed
Python SDK and against the conformance programs in Go and TypeScript.
"""

from __future__ import annotations

from docs.generator.markdown import snake

GO_EXCEPTIONS = {("v1", "getServerInfo"): "OrchestrationgetServerInfo"}
TYPESCRIPT_EXCEPTIONS = {("v1", "getServerInfo"): "getServerInfoOrchestration"}
PYTHON_EXCEPTIONS = {("v1", "getServerInfo"): "get_server_info_orchestration"}


def base_id(operation_id: str) -> str:
    """`v2ListTriggers` -> `listTriggers`"""
    if operation_id.startswith("v2") and operation_id[2:3].isupper():
        return operation_id[2].lower() + operation_id[3:]
    return operation_id


def go_name(version: str, operation_id: str) -> str:
    base = base_id(operation_id)
    return GO_EXCEPTIONS.get((version, base), base[0].upper() + base[1:])


def typescript_name(version: str, operation_id: str) -> str:
    base = base_id(operation_id)
    return TYPESCRIPT_EXCEPTIONS.get((version, base), base)


def python_name(version: str, operation_id: str) -> str:
    base = base_id(operation_id)
    return PYTHON_EXCEPTIONS.get((version, base), snake(base))
