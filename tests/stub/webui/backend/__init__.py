"""Forge's package of this name: its UNet's holder and its memory management."""
