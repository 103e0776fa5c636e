"""Scene graphs: comparing them, wording them, sorting them, reading them from a prompt."""
