"""Ways of combining heads or detectors, what they are worth, and what they cost."""
