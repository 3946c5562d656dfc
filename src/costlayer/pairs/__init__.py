"""Closed forms, one small file each: pairs written as one formula where the composition would lose digits."""

from costlayer.pairs.cauchit_cross_entropy import CAUCHIT_CROSS_ENTROPY
from costlayer.pairs.class_scores_crammer_singer import CLASS_SCORES_CRAMMER_SINGER
from costlayer.pairs.class_scores_weston_watkins import CLASS_SCORES_WESTON_WATKINS
from costlayer.pairs.cloglog_cross_entropy import CLOGLOG_CROSS_ENTROPY
from costlayer.pairs.conditional_corn import CONDITIONAL_CORN
from costlayer.pairs.entmax15_fenchel_young import ENTMAX15_FENCHEL_YOUNG
from costlayer.pairs.exp_gamma import EXP_GAMMA
from costlayer.pairs.exp_inverse_gaussian import EXP_INVERSE_GAUSSIAN
from costlayer.pairs.exp_msle import EXP_MSLE
from costlayer.pairs.exp_negative_binomial import EXP_NEGATIVE_BINOMIAL
from costlayer.pairs.exp_poisson import EXP_POISSON
from costlayer.pairs.exp_tweedie import EXP_TWEEDIE
from costlayer.pairs.identity_mse import IDENTITY_MSE
from costlayer.pairs.ordinal_coral import ORDINAL_CORAL
from costlayer.pairs.ordinal_cumulative_logit import ORDINAL_CUMULATIVE_LOGIT
from costlayer.pairs.probit_cross_entropy import PROBIT_CROSS_ENTROPY
from costlayer.pairs.sigmoid_asymmetric import SIGMOID_ASYMMETRIC
from costlayer.pairs.sigmoid_cross_entropy import SIGMOID_CROSS_ENTROPY
from costlayer.pairs.sigmoid_focal import SIGMOID_FOCAL
from costlayer.pairs.softmax_binary_cross_entropy import SOFTMAX_BINARY_CROSS_ENTROPY
from costlayer.pairs.softmax_cross_entropy import SOFTMAX_CROSS_ENTROPY
from costlayer.pairs.softmax_focal import SOFTMAX_FOCAL
from costlayer.pairs.softmax_gce import SOFTMAX_GCE
from costlayer.pairs.softmax_js import SOFTMAX_JS
from costlayer.pairs.softmax_kl import SOFTMAX_KL
from costlayer.pairs.softmax_mae import SOFTMAX_MAE
from costlayer.pairs.softmax_poly1 import SOFTMAX_POLY1
from costlayer.pairs.softplus_gamma import SOFTPLUS_GAMMA
from costlayer.pairs.softplus_inverse_gaussian import SOFTPLUS_INVERSE_GAUSSIAN
from costlayer.pairs.softplus_negative_binomial import SOFTPLUS_NEGATIVE_BINOMIAL
from costlayer.pairs.softplus_poisson import SOFTPLUS_POISSON
from costlayer.pairs.softplus_tweedie import SOFTPLUS_TWEEDIE
from costlayer.pairs.sparsemax_fenchel_young import SPARSEMAX_FENCHEL_YOUNG

CLOSED_FORMS = {
    (form.activation, form.cost): form
    for form in (
        IDENTITY_MSE,
        SIGMOID_CROSS_ENTROPY,
        SIGMOID_FOCAL,
        SIGMOID_ASYMMETRIC,
        PROBIT_CROSS_ENTROPY,
        CLOGLOG_CROSS_ENTROPY,
        CAUCHIT_CROSS_ENTROPY,
        SOFTMAX_CROSS_ENTROPY,
        SOFTMAX_BINARY_CROSS_ENTROPY,
        SOFTMAX_MAE,
        SOFTMAX_FOCAL,
        SOFTMAX_POLY1,
        SOFTMAX_GCE,
        SOFTMAX_KL,
        SOFTMAX_JS,
        EXP_MSLE,
        EXP_POISSON,
        EXP_NEGATIVE_BINOMIAL,
        EXP_GAMMA,
        EXP_INVERSE_GAUSSIAN,
        EXP_TWEEDIE,
        SOFTPLUS_POISSON,
        SOFTPLUS_GAMMA,
        SOFTPLUS_TWEEDIE,
        SOFTPLUS_INVERSE_GAUSSIAN,
        SOFTPLUS_NEGATIVE_BINOMIAL,
        CLASS_SCORES_CRAMMER_SINGER,
        CLASS_SCORES_WESTON_WATKINS,
        SPARSEMAX_FENCHEL_YOUNG,
        ENTMAX15_FENCHEL_YOUNG,
        ORDINAL_CUMULATIVE_LOGIT,
        ORDINAL_CORAL,
        CONDITIONAL_CORN,
    )
}
