"""Transformers whose blocks let text and picture attend to each other in one attention."""
