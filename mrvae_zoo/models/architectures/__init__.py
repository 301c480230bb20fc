"""The families of networks, one a file: each builds an encoder and a decoder."""
