"""The storyboard, as far as it needs no WebUI: its settings, its lines, and the page."""
