"""A small Hugging Face Hub on loopback, for tests: what the client of the real one asks for, and faults on demand."""
