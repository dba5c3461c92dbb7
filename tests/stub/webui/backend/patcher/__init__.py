"""Forge's holders of models."""
