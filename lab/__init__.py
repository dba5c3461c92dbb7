"""The workshop: a small world, a model trained on it, and what is measured with both.

Nothing of it belongs to the extension, and the extension never imports it.
"""
