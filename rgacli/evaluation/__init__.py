"""Detections on disk and what they are worth: AP per head and per ground-truth-count bin.

`detect` and `variants_metric` run a model and import torch; the rest works on COCO files alone.
"""
