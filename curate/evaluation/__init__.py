"""Comparing models on held-out prompts."""
