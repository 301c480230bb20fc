"""Encoding files: what is reported while it goes on."""

from mrvae_zoo.inference import encoding
from mrvae_zoo.inference.encoding import encode_files


def test_the_share_of_the_images_that_is_done_is_reported(digits, default_model, monkeypatch):
    monkeypatch.setattr(encoding, "BATCH", 4)
    shares = []
    encoded = encode_files(default_model.at(1.0), digits, may_skip=[False] * len(digits), progress=shares.append)
    assert len(encoded.files) == len(digits) == 10
    assert shares == [0, 0.4, 0.8]
