"""Use cases: one function per verb, without HTTP. Each composes one unit of work and commits it.

    answer = await create_workflow(ports, caller, definition)

`ports` is the journal, the engine and the other parts a use case works with (`usecases.ports`); `caller` is the
principal with the key of its request (`usecases.idempotency`), None where the server acts by itself. Parameters are
values that JSON can say, already decoded; a use case validates them and raises the errors of `headrace.errors`. It
mints ids and reads the clock; it knows no status, header or response body.

A read that is one call of the journal has no use case: handlers call the journal.
"""
