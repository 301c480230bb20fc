"""Multi-Rate VAEs: their parts, and how they are built."""
