"""Alembic's entry: runs the versions beside it on the connection that `migrate` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
