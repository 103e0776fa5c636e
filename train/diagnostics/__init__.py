"""What can be known of a training without training: time, memory, and how exact inversion is."""
