"""The state of a training on disk, and how to resume from it."""
