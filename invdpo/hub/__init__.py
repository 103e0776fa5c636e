"""Publishing on the Hugging Face Hub, and pulling from it."""
