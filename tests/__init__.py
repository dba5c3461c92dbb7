"""The project's tests: ``python3 -m tests``."""
