"""Closed forms, one small file each: pairs written as one formula where the composition would lose digits."""

from costlayer.pairs.exp_gamma import EXP_GAMMA
from costlayer.pairs.exp_poisson import EXP_POISSON
from costlayer.pairs.identity_mse import IDENTITY_MSE
from costlayer.pairs.sigmoid_cross_entropy import SIGMOID_CROSS_ENTROPY
from costlayer.pairs.softmax_binary_cross_entropy import SOFTMAX_BINARY_CROSS_ENTROPY
from costlayer.pairs.softmax_cross_entropy import SOFTMAX_CROSS_ENTROPY
from costlayer.pairs.softplus_gamma import SOFTPLUS_GAMMA
from costlayer.pairs.softplus_poisson import SOFTPLUS_POISSON

CLOSED_FORMS = {
    (form.activation, form.cost): form
    for form in (
        IDENTITY_MSE,
        SIGMOID_CROSS_ENTROPY,
        SOFTMAX_CROSS_ENTROPY,
        SOFTMAX_BINARY_CROSS_ENTROPY,
        EXP_POISSON,
        EXP_GAMMA,
        SOFTPLUS_POISSON,
        SOFTPLUS_GAMMA,
    )
}
