"""LAFI in a browser, on the page of a running WebUI."""
