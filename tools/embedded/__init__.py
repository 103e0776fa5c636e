"""How the bundled models of the embedded world are trained; run by `tools/train_embedded.py`."""
