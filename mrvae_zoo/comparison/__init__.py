"""One Multi-Rate VAE beside β-VAEs trained for one β each."""
