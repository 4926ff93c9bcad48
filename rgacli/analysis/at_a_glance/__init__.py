"""What one run shows, in three sentences and three small panels."""
