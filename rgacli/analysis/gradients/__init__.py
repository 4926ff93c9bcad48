"""What R-CNN heads send into the shared backbone (paper, Fig. 5)."""
