"""The report: one page that a team can read, made of findings, with the images behind its numbers."""
