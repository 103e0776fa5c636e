"""Finding and reading weights: pipelines, LoRAs, scorers, OpenCLIP models."""
