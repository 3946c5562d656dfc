"""Output activations, one small file each."""

from costlayer.activations.cauchit import CAUCHIT
from costlayer.activations.class_scores import CLASS_SCORES
from costlayer.activations.cloglog import CLOGLOG
from costlayer.activations.conditional import CONDITIONAL
from costlayer.activations.elu import ELU
from costlayer.activations.entmax15 import ENTMAX15
from costlayer.activations.exponential import EXP
from costlayer.activations.identity import IDENTITY
from costlayer.activations.leaky_relu import LEAKY_RELU
from costlayer.activations.ordinal import ORDINAL
from costlayer.activations.probit import PROBIT
from costlayer.activations.relu import RELU
from costlayer.activations.sigmoid import SIGMOID
from costlayer.activations.softmax import SOFTMAX
from costlayer.activations.softplus import SOFTPLUS
from costlayer.activations.sparsemax import SPARSEMAX
from costlayer.activations.tanh import TANH
from costlayer.activations.two_scores import EXP_EXP, IDENTITY_EXP, IDENTITY_SOFTPLUS, SOFTPLUS_SOFTPLUS

ACTIVATIONS = {
    activation.name: activation
    for activation in (
        IDENTITY,
        SIGMOID,
        PROBIT,
        CLOGLOG,
        CAUCHIT,
        TANH,
        RELU,
        LEAKY_RELU,
        ELU,
        SOFTPLUS,
        EXP,
        SOFTMAX,
        CLASS_SCORES,
        SPARSEMAX,
        ENTMAX15,
        ORDINAL,
        CONDITIONAL,
        IDENTITY_EXP,
        IDENTITY_SOFTPLUS,
        EXP_EXP,
        SOFTPLUS_SOFTPLUS,
    )
}
