"""The async client; `make client` generates the sync one in `_sync` from it."""
