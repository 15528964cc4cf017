"""Headrace: money-movement workflows, durable on one machine. `app` puts the rooms together."""
