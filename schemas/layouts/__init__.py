"""How preference pairs are stored: the layouts of others, for `train` and `curate import`."""
