"""Models on disk, and the names that lead to them."""
