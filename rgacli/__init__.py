"""R-CNN Gradient Annealing and Parallel R-CNN Modules for two-stage detectors."""

__version__ = "0.1.0"
