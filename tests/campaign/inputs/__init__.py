"""Generators of hostile input: each makes, of chance, a case: files in a folder, and a command that reads them."""
