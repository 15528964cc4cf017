"""Message buses: `port` defines them; `kafka`, `nats` and `webhooks` are adapters, which do not import each other."""
