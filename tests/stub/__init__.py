"""Tests of what drives the core in a WebUI, on a small stub of the WebUI; see README.md."""
