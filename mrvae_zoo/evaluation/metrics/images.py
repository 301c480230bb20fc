"""How close reconstructions are to their images: PSNR and SSIM, at one draw of z as for the curve.

Letters: B images.
"""

from torch import Tensor

from mrvae_zoo.evaluation.metrics.base import Metric

HIGHEST_PSNR = 100.0  # dB, where it would be infinite
WINDOW = 11  # pixels, of the Gaussian window of SSIM


def psnr(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each reconstruction in dB, at most 100: (B,)."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    each = peak_signal_noise_ratio(reconstructions, images, data_range=(0.0, 1.0), reduction="none", dim=(1, 2, 3))
    return each.clamp(max=HIGHEST_PSNR)


def ssim(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Return the structural similarity of each reconstruction, at most 1: (B,).

    Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004.

    Raises:
        ValueError: The images are smaller than the window of 11 × 11 pixels.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    height, width = images.shape[2:]
    if min(height, width) < WINDOW:
        raise ValueError(
            f"images of {width}×{height} are too small for ssim, which looks at {WINDOW}×{WINDOW} pixels; take psnr"
        )
    each = structural_similarity_index_measure(reconstructions, images, data_range=(0.0, 1.0), reduction="none")
    assert isinstance(each, Tensor)
    return each.reshape(len(images))


PSNR = Metric(name="psnr", title="PSNR (dB)", compare=psnr, extra="torchmetrics")
SSIM = Metric(name="ssim", title="SSIM", compare=ssim, extra="torchmetrics")
