"""What shows a training: trackers, curves and validation images."""
