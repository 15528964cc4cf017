"""How instances run. `port`: what an engine offers; `run`: one instance in memory; `embedded`: in one process."""
