"""Rounds: draw with the current model, judge, pair, train, and begin again with the new model."""
