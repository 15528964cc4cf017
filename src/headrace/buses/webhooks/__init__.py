"""Webhooks as a bus: a publisher for each endpoint that the operator lists in a file."""
