"""Data sets, grouped by where they come from."""
