# Generated from _async/__init__.py by `make client`: change that file.
"""The sync client."""
