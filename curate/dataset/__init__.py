"""The published data set: its shards, its card, and the archive that carries a workspace."""
