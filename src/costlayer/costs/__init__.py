"""Costs, one small file each."""

from costlayer.costs.asymmetric import ASYMMETRIC
from costlayer.costs.beta import BETA
from costlayer.costs.binary_cross_entropy import BINARY_CROSS_ENTROPY
from costlayer.costs.cauchy import CAUCHY
from costlayer.costs.coral import CORAL
from costlayer.costs.corn import CORN
from costlayer.costs.crammer_singer import CRAMMER_SINGER
from costlayer.costs.cross_entropy import CROSS_ENTROPY
from costlayer.costs.crps import CRPS
from costlayer.costs.cumulative_logit import CUMULATIVE_LOGIT
from costlayer.costs.epsilon_insensitive import EPSILON_INSENSITIVE
from costlayer.costs.expectile import EXPECTILE
from costlayer.costs.exponential import EXPONENTIAL
from costlayer.costs.fenchel_young import FENCHEL_YOUNG
from costlayer.costs.focal import FOCAL
from costlayer.costs.gamma import GAMMA
from costlayer.costs.gaussian import GAUSSIAN
from costlayer.costs.gce import GCE
from costlayer.costs.hinge import HINGE
from costlayer.costs.huber import HUBER
from costlayer.costs.inverse_gaussian import INVERSE_GAUSSIAN
from costlayer.costs.js import JS
from costlayer.costs.kl import KL
from costlayer.costs.laplace import LAPLACE
from costlayer.costs.log_cosh import LOG_COSH
from costlayer.costs.logistic import LOGISTIC
from costlayer.costs.mae import MAE
from costlayer.costs.mape import MAPE
from costlayer.costs.modified_huber import MODIFIED_HUBER
from costlayer.costs.mse import MSE
from costlayer.costs.msle import MSLE
from costlayer.costs.negative_binomial import NEGATIVE_BINOMIAL
from costlayer.costs.perceptron import PERCEPTRON
from costlayer.costs.poisson import POISSON
from costlayer.costs.poly1 import POLY1
from costlayer.costs.quantile import QUANTILE
from costlayer.costs.smooth_l1 import SMOOTH_L1
from costlayer.costs.squared_hinge import SQUARED_HINGE
from costlayer.costs.student_t import STUDENT_T
from costlayer.costs.tukey import TUKEY
from costlayer.costs.tweedie import TWEEDIE
from costlayer.costs.weston_watkins import WESTON_WATKINS

COSTS = {
    cost.name: cost
    for cost in (
        MSE,
        MAE,
        HUBER,
        SMOOTH_L1,
        LOG_COSH,
        QUANTILE,
        EXPECTILE,
        EPSILON_INSENSITIVE,
        CAUCHY,
        TUKEY,
        MAPE,
        MSLE,
        CROSS_ENTROPY,
        BINARY_CROSS_ENTROPY,
        FOCAL,
        ASYMMETRIC,
        POLY1,
        GCE,
        KL,
        JS,
        HINGE,
        SQUARED_HINGE,
        MODIFIED_HUBER,
        LOGISTIC,
        EXPONENTIAL,
        PERCEPTRON,
        POISSON,
        NEGATIVE_BINOMIAL,
        GAMMA,
        INVERSE_GAUSSIAN,
        TWEEDIE,
        CRAMMER_SINGER,
        WESTON_WATKINS,
        FENCHEL_YOUNG,
        CUMULATIVE_LOGIT,
        CORAL,
        CORN,
        GAUSSIAN,
        LAPLACE,
        STUDENT_T,
        CRPS,
        BETA,
    )
}
