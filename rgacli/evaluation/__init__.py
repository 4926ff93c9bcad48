"""Detections on disk and what they are worth: AP per head and per ground-truth-count bin. Imports no torch."""
