"""The HTTP API, the only package that knows HTTP statuses. Start reading at `app`, the table of operations.

app             puts the API together: `create_api`
routes          finds the operation of a request, calls its handler, renders errors
v1  v2  ext     the operations: handlers, schemas of requests and responses, views of the journal's rows
authorization   scopes                      idempotency   Idempotency-Key
cross_site      browsers of other sites     body_budget   memory for large bodies
"""

from __future__ import annotations

from headrace.api.app import create_api

__all__ = ["create_api"]
