"""The report of a pairing: plots, and one HTML page that needs no network."""
