"""The state of a training on disk, and going on from it."""
