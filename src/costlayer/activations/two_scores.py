"""Activations of two scores per target, which together say a distribution: each score has an activation of its own."""

from costlayer.activations.exponential import EXP
from costlayer.activations.identity import IDENTITY
from costlayer.activations.softplus import SOFTPLUS
from costlayer.pair import Activation


def _of(first: Activation, second: Activation, summary: str, limits: str, reference: str) -> Activation:
    return Activation(
        name=f"{first.name}_{second.name}",
        summary=summary,
        range=first.range,
        formula=first.formula,
        gain=first.gain,
        limits=limits,
        reference=reference,
        parts=(first, second),
    )


_BETA = "Ferrari and Cribari-Neto (2004), Beta regression for modelling rates and proportions"

IDENTITY_EXP = _of(
    IDENTITY,
    EXP,
    "The first score is the location, the second the logarithm of the scale.",
    "The scale grows by a factor for every step of its score, and nears 0 as that → −∞.",
    "Nix and Weigend (1994), Estimating the mean and variance of the target probability distribution",
)
IDENTITY_SOFTPLUS = _of(
    IDENTITY,
    SOFTPLUS,
    "The first score is the location, the second, smoothly bent above zero, the scale.",
    "The scale is as good as its score where that is large, and nears 0 as exp(z_1) as it → −∞.",
    "Lakshminarayanan, Pritzel and Blundell (2017), Simple and scalable predictive uncertainty estimation",
)
EXP_EXP = _of(
    EXP,
    EXP,
    "The scores are the logarithms of the two shapes.",
    "A shape grows by a factor for every step of its score.",
    _BETA,
)
SOFTPLUS_SOFTPLUS = _of(
    SOFTPLUS,
    SOFTPLUS,
    "The scores, smoothly bent above zero, are the two shapes.",
    "A shape is as good as its score where that is large, and falls as e^z as it → −∞.",
    _BETA,
)
