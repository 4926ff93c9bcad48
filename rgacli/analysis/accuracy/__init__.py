"""Accuracy on positives and on negatives, and validation, along trainings (paper, Fig. 3)."""
