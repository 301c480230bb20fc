"""What every room shares: typed files, tables of records, images, noise."""
