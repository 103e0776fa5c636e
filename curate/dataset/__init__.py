"""The published dataset: its shards, its card, and the archive that carries a workspace."""
