"""The report of a pairing: plots, and one page that can be read without a network."""
