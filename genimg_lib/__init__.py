"""genimg: deep-learning image generation, demystified. The course's small shared library."""
