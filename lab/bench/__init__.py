"""Measurements: what LAFI costs, and whether memory stays level."""
