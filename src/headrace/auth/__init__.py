"""Who gets in: principals, the tokens that prove them, our own clients and signing keys, keys of a remote issuer.

No HTTP status is chosen here, and nothing here logs a token or a secret.
"""
