"""A small copy of the WebUI's package of this name: what LAFI imports, as the host behaves."""
