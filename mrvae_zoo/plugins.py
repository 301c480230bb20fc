"""What the author of a plug-in imports; the entry-point group has the same name, `mrvae_zoo.plugins`."""

from mrvae_zoo.data.recipe import Split
from mrvae_zoo.data.sets import DataSet
from mrvae_zoo.gating.kinds import Gating, Side
from mrvae_zoo.gating.layers import GatedSequential, call
from mrvae_zoo.models.registry import Architecture
from mrvae_zoo.training.objectives import GlobalBatch, Objective

__all__ = ["Architecture", "DataSet", "GatedSequential", "Gating", "GlobalBatch", "Objective", "Side", "Split", "call"]
