"""Rounds: generate with the current model, judge, pair, train, and repeat with the new model."""
