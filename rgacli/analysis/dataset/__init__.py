"""What annotations say before any training."""
