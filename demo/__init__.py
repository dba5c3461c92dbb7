"""The main job on a machine without a WebUI: ``python3 -m demo``."""
