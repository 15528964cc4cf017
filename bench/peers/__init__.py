"""Headrace beside what a user would choose instead, on the same workloads, in turn, with durable commits."""
