"""Measurements: what LAFI costs, and what it keeps and leaks."""
