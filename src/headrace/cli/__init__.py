"""The command line. It talks to a server through `headrace_client` and nothing else; only `dev` and `serve` run one.

Importing it is cheap: each command imports the heavy modules that it needs.
"""
