"""A form that does something: the scope that it needs, and the Idempotency-Key that makes its repeats do one thing."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from headrace.console.pages import Place
from headrace.errors import InvalidValue, NotAllowed
from headrace.usecases.idempotency import Caller, CallerKey

PREFIX = "console:"
MAX_KEY = 100


def new_key(place: Place) -> str:
    """The key of a form that is shown for the first time: a double click, Back and Resend carry the same one."""
    return f"{PREFIX}{place.ports.ids.new()}"


def form_caller(place: Place, operation: str, target: str, scope: str) -> Caller:
    """The caller of a use case for a form that was sent, as the API would name it.

    `operation`: the API's name of what is done; `target`: the id of what it is done to, empty for a new thing. Raises
    NotAllowed without `scope`, and InvalidValue for a form that has not the key that it was shown with.
    """
    principal, form = place.visitor.principal, place.form
    if not principal.may(scope):
        raise NotAllowed(scope)
    key = form.get("key", "")
    if not key.startswith(PREFIX) or len(key) > MAX_KEY:
        raise InvalidValue("key", "is not one of this form: open the page again")
    meant = {name: value for name, value in form.items() if name not in ("token", "key")}
    fingerprint = sha256(msgspec.json.encode([operation, target, meant], order="sorted")).digest()
    return Caller(principal.name, operation, principal.client_id, CallerKey(key, fingerprint, principal.key_owner))
