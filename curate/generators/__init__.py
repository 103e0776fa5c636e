"""Images from a diffusion pipeline: which models, in which order, in which batches."""
