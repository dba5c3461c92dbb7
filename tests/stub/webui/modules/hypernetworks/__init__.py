"""The host's hypernetworks."""
