"""Transformers with joint attention: stand-ins, and Forge's own where its folder is given."""
