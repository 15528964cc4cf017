"""Planted bugs: each of them must be caught by a test. `python -m tests.planted` plants and runs them all."""
