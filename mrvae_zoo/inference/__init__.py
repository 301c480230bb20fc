"""Trained models at work: encoding folders, tiles, export."""
