"""Headrace: money-movement workflows, durable on one machine. `composition` assembles the packages."""
