"""The async client, of which `make client` makes the sync one in `_sync`."""
