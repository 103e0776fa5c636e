"""Human review: a page, served on this machine only, on which a person judges pairs."""
