"""Human review: a page of this machine on which a person judges pairs, and the table it fills."""
