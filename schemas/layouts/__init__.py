"""How others store preference pairs; the trainer and `invdpo curate import` read them from here."""
