"""The host's version."""


def git_tag() -> str:
    """As a checkout of the host says it."""
    return "stub"
