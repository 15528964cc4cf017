"""How instances run.

`port`: what an engine offers; `driver` and `control`: shared by all engines; `embedded`: in one process.
"""
