"""Kafka as a bus. Importing `bus` needs the extra `headrace[kafka]`."""
