"""Clients of other machines over HTTP: with retries, within bounds, keeping keys secret."""
