"""Phase one: latents, prompt encodings and trajectories, computed once and kept on disk."""
