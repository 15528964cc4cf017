"""One instance, pure: from where it stands in the journal to its next command, and the writes of each step.

`instance` decides; an engine commits the writes and performs the command. Nothing in this package waits, reads a
database or sends a request, so each engine uses it, and a test can take an instance through every path.
"""
