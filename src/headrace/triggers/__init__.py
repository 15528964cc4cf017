"""Triggers: which events start which workflows, with which variables, and what came of each match."""
