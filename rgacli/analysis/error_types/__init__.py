"""Which errors detectors make (TIDE)."""
