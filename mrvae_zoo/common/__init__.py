"""Code that the other packages share: typed files, tables of records, images, noise."""
