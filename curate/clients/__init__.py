"""Asking other machines over HTTP: patiently, within bounds, without giving secrets away."""
