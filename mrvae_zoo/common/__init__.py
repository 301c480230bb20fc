"""What every room shares: typed files, registries, images, noise."""
