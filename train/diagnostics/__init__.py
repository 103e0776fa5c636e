"""What tells about a training without training: time, memory, and how well inversion returns."""
