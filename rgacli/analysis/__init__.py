"""What is found of detectors and drawn: a folder per figure, and what figures share."""
