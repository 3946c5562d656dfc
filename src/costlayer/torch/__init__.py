"""The PyTorch front: the cost layer, and torch.nn's own losses by their names."""

from costlayer.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra("torch", "torch") from error

from costlayer.torch import functional as functional
from costlayer.torch.distillation import DistillationLoss
from costlayer.torch.export import Predictor
from costlayer.torch.layer import CostLayer
from costlayer.torch.linear import LinearCostLayer, contrastive_cost, linear_cost, siglip_cost
from costlayer.torch.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HingeEmbeddingLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    LinearCrossEntropyLoss,
    MSELoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    NLLLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
    SoftMarginLoss,
)
from costlayer.torch.ordinal import OrdinalScores
from costlayer.torch.trainer import TrainerLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CostLayer",
    "CrossEntropyLoss",
    "DistillationLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LinearCostLayer",
    "LinearCrossEntropyLoss",
    "MSELoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "OrdinalScores",
    "PoissonNLLLoss",
    "Predictor",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TrainerLoss",
    "contrastive_cost",
    "functional",
    "linear_cost",
    "siglip_cost",
]
