"""Workflows as data: parse and check a definition, expand variables, and say command by command what a stage wants.

Pure: standard library, `money` and `errors` only; no input or output, clock, randomness or async.
"""
