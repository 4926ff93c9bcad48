"""Positive proposals against objects (paper, Fig. 1b)."""
