"""LAFI: training-free character consistency by Layer-Adaptive Feature Injection."""

__version__ = "0.1.0"
