"""The heads' scores of the same boxes (paper, Fig. 6)."""
