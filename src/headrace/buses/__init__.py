"""Message buses: `port` says what each offers; `kafka`, `nats` and `webhooks` are its adapters, which never meet."""
