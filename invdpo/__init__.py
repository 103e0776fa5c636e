"""invdpo: from a diffusion model's samples to a preference data set to an aligned model."""

__version__ = "0.1.0"
