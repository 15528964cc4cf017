"""NATS JetStream as a bus. Importing `bus` needs the extra `headrace[nats]`."""
