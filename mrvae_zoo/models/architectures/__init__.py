"""The families of networks, one per file: each builds an encoder and a decoder."""
