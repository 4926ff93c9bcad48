"""AP per ground-truth-count bin (paper, Fig. 2)."""
