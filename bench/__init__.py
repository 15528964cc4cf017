"""Throughput of Headrace beside the floors of the same machine in the same run. See README.md."""
