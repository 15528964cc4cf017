"""The engine on Temporal: it says when an instance is looked at; the journal says where the instance stands.

`workflows`: one workflow for each instance, which only repeats a step. `steps`: the step, an activity that drives the
instance with the shared driver until it must wait. `engine`: what API servers use. `worker`: the process that drives.
`sweeper`: repeats nudges that were overlooked. Temporal holds ids and times only, and may lose all of them.
"""
