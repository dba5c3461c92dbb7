"""The host's API."""
