"""Costs, one small file each."""

from costlayer.costs.binary_cross_entropy import BINARY_CROSS_ENTROPY
from costlayer.costs.cross_entropy import CROSS_ENTROPY
from costlayer.costs.gamma import GAMMA
from costlayer.costs.hinge import HINGE
from costlayer.costs.huber import HUBER
from costlayer.costs.mae import MAE
from costlayer.costs.mse import MSE
from costlayer.costs.poisson import POISSON

COSTS = {
    cost.name: cost
    for cost in (
        MSE,
        MAE,
        HUBER,
        CROSS_ENTROPY,
        BINARY_CROSS_ENTROPY,
        HINGE,
        POISSON,
        GAMMA,
    )
}
