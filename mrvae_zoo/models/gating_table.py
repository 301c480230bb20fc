"""The table of gatings, by name: those of the zoo, and those of plug-ins."""

from mrvae_zoo.common.table import Table
from mrvae_zoo.gating.base import Gating
from mrvae_zoo.gating.kinds import (
    AffineGating,
    ConcatGating,
    LinearGating,
    NoGating,
    OpenPaperGating,
    Paper2022Gating,
    PaperGating,
    ShrinkageGating,
)
from mrvae_zoo.models.config import ModelConfig

gatings: Table[type[Gating]] = Table(
    "gating",
    (
        NoGating,
        PaperGating,
        OpenPaperGating,
        Paper2022Gating,
        AffineGating,
        ShrinkageGating,
        ConcatGating,
        LinearGating,
    ),
    plugins=Gating,
)


def make_gating(config: ModelConfig) -> Gating:
    """Make the gating that a config names.

    Raises:
        UnknownNameError: There is no gating of that name.
        ValueError: The plug-in that brings it is broken; the message names the package.
    """
    gating = gatings[config.gating]
    return gating(beta_range=config.beta_range, degree=config.gating_degree, moves=config.gating_moves)
