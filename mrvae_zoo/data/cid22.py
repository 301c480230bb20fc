"""cid22: the photographs of 512×512 pixels of the Cloudinary Image Dataset."""

from pathlib import Path

from mrvae_zoo.common.decoding import find_images, open_image
from mrvae_zoo.data.data_set import DataFacts, DataSet
from mrvae_zoo.data.encoded_images import EncodedImages
from mrvae_zoo.data.recipe import Split


def load_photos(root: Path, split: Split) -> EncodedImages:
    """Find the photographs in Photos/{train,test}: 209 and 41 images to decode."""
    folder = root / "Photos" / split
    paths = find_images(folder) if folder.is_dir() else []
    if not paths:
        raise FileNotFoundError(f"{folder} holds no images; put the photographs of CID22-512 there")
    return EncodedImages("cid22", paths, open_image)


CID22 = DataSet(
    name="cid22",
    load=load_photos,
    facts=DataFacts(
        title="CID22-512, photographs of the Cloudinary Image Dataset 2022",
        url="https://github.com/Cloudinary/CID22",
        licence="CC BY-SA 4.0",
    ),
)
