"""Families of flow matching: what they share in `base`, and one file for each of them."""
