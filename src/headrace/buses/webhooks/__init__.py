"""Webhooks as a bus: a publisher for each endpoint in the operator's file."""
