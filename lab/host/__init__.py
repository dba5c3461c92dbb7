"""Hosts to drive LAFI with: one embedded here, on the WebUIs' model code; and a running WebUI."""
