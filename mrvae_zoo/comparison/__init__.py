"""A Multi-Rate VAE compared with β-VAEs that are trained for one β each."""
