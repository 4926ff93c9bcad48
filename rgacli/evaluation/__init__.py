"""Detections on disk and what they are worth: AP per head and per ground-truth-count bin.

What runs a model imports torch, and so does `crowdhuman_metrics`; the rest works on COCO files alone.
"""
