"""The command line. It talks to a server through `headrace_client` and nothing else; only `dev` and `serve` run one.

Importing it is cheap: whatever is heavy is imported by the command that needs it.
"""
