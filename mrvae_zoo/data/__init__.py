"""Data sets, by where they come from."""
