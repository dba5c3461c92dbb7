"""Black-box tests of LAFI in a running WebUI: ``python3 -m tests e2e --url http://...``."""
