"""All images of a folder as one split, whatever their folders are called."""

from pathlib import Path

from mrvae_zoo.common.decoding import find_images, open_image
from mrvae_zoo.common.images import Shape
from mrvae_zoo.data.encoded_images import EncodedImages, load_encoded
from mrvae_zoo.data.recipe import Binarization
from mrvae_zoo.data.sets import ImageData, draw_once


def load_whole_folder(folder: Path, shape: Shape, *, binarize: Binarization = "none") -> ImageData:
    """Load all images of a folder and of the folders in it, as a split called "test".

    Args:
        folder: The folder.
        shape: The model's input_shape (C, H, W), which images are converted and resized to.
        binarize: The binarisation of the pixels. "static" and "dynamic" both draw each pixel once.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder holds no images, or none that can be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    paths = find_images(folder)
    if not paths:
        raise ValueError(f"{folder} holds no images in a format that Pillow reads")
    images = load_encoded(EncodedImages(str(folder), paths, open_image), shape)
    data = ImageData(name=str(folder), split="test", images=images)
    if binarize == "none":
        return data
    return ImageData(name=data.name, split="test", images=draw_once(data), binarize="static")
