"""Checks of `headrace.journal.testing`: certificates and the keys that have signed them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from headrace.journal.port import Journal, Unit
from headrace.journal.records import Certificate
from headrace.journal.writes import AddCertificate


async def a_certificate_is_stored_whole_and_each_key_is_listed_once(
    make_journal: Callable[[], AbstractAsyncContextManager[Journal]],
) -> None:
    """A certificate is read as it was stored, after the store is opened again too; keys come by their ids."""
    async with make_journal() as journal:
        assert await journal.certificate("c1") is None and await journal.certificate_keys() == []
        for number, kid in enumerate(("k2", "k1", "k2"), 1):
            unit = Unit()
            unit.add(
                AddCertificate(
                    certificate_id=f"c{number}",
                    subject='{"instance":"i1"}',
                    content="a.b.c" * 1_000,
                    sha="sha256:00",
                    previous=None if number == 1 else "c1",
                    kid=kid,
                    jwk=f'{{"kid":"{kid}"}}',
                    created_at=number,
                )
            )
            await journal.commit(unit)
    async with make_journal() as journal:
        wanted = Certificate("c2", '{"instance":"i1"}', "a.b.c" * 1_000, "sha256:00", "c1", "k1", 2)
        assert await journal.certificate("c2") == wanted
        assert await journal.certificate_keys() == ['{"kid":"k1"}', '{"kid":"k2"}']


CHECKS = (a_certificate_is_stored_whole_and_each_key_is_listed_once,)
