"""Authentication: principals, bearer tokens, local clients and signing keys, and the keys of a remote issuer.

This package chooses no HTTP status and logs no token or secret.
"""
