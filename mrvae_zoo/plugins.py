"""The names that the author of a plug-in imports. The entry-point group has the same name, `mrvae_zoo.plugins`.

Architecture                        a family of networks
Gating, Place, Gate, AffineGate     how β reaches a network
GatedSequential, call, Side         the layers of a network that take the features of β
DataSet, DataFacts, Split           a data set, and what a model page says about it
Objective, GlobalBatch, VAEOutput   a loss to minimise in training
Metric, Part, Score                 what `mrvae_zoo.sweep` measures at every β
"""

from mrvae_zoo.data.data_set import DataFacts, DataSet
from mrvae_zoo.data.recipe import Split
from mrvae_zoo.evaluation.metrics.base import Metric, Part, Score
from mrvae_zoo.gating.base import Gating, Place, Side
from mrvae_zoo.gating.gates import AffineGate, Gate
from mrvae_zoo.gating.layers import GatedSequential, call
from mrvae_zoo.models.architecture_table import Architecture
from mrvae_zoo.models.base import VAEOutput
from mrvae_zoo.training.objectives import GlobalBatch, Objective

__all__ = [
    "AffineGate",
    "Architecture",
    "DataFacts",
    "DataSet",
    "Gate",
    "GatedSequential",
    "Gating",
    "GlobalBatch",
    "Metric",
    "Objective",
    "Part",
    "Place",
    "Score",
    "Side",
    "Split",
    "VAEOutput",
    "call",
]
