"""Using trained models: encoding folders, tiling large images, export."""
