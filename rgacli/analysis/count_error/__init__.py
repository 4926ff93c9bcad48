"""How well detections count objects."""
