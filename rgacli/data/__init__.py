"""Datasets: the embedded one, finding a user's, and checking it. Imports no torch."""
