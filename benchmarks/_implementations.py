"""What is measured: costlayer, and beside it torch, Optax under JAX, and scikit-learn's losses, where they are there.

Each is called as its users call it: `(pair, kind, z, y) -> value, δ[, curvature]` of single examples, in the type
`kind`, or None where it has no such pair.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

import costlayer as cl
from costlayer.torch import CostLayer

HALVES = ("float16", "bfloat16")


def available(name: str) -> bool:
    module = {"Optax": "optax", "scikit-learn": "sklearn._loss", "torch": "torch", "costlayer": "costlayer"}[name]
    try:
        return importlib.util.find_spec(module) is not None and (
            name != "Optax" or importlib.util.find_spec("jax") is not None
        )
    except ModuleNotFoundError:
        return False


def version(name: str) -> str:
    from importlib.metadata import version

    return version({"Optax": "optax"}.get(name, name))


def ours(pair, kind: str, z: np.ndarray, y: np.ndarray):
    if kind in HALVES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of starvation
            layer = CostLayer(pair, reduction="none")
        return _by_autograd(layer, kind, z, y)
    value, delta = cl.value_and_delta(pair, z, y, reduction="none")
    return value, delta, cl.curvature(pair, z, y)


def predict(pair, kind: str) -> Callable[[np.ndarray], np.ndarray]:
    """φ of an array of the type."""
    if kind not in HALVES:
        return lambda z: cl.predict(pair, z)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = CostLayer(pair)
    return lambda z: layer.predict(_tensor(z, kind)).float().numpy()


def _tensor(x: np.ndarray, kind: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x)).to(getattr(torch, kind))


def _by_autograd(loss, kind: str, z, y):
    z = _tensor(z, kind).requires_grad_()
    value = loss(z, _tensor(y, kind) if np.issubdtype(y.dtype, np.floating) else torch.from_numpy(y))
    value.sum().backward()
    wide = torch.float64 if kind == "float64" else torch.float32
    return value.detach().to(wide).numpy(), z.grad.to(wide).numpy()


_TORCH_ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "softplus": lambda z: F.softplus(z),
    "exp": torch.exp,
    "softmax": lambda z: torch.softmax(z, 1),
}
_TORCH_COSTS = {
    "mse": lambda v, y: F.mse_loss(v, y, reduction="none"),
    "mae": lambda v, y: F.l1_loss(v, y, reduction="none"),
    "huber": lambda v, y: F.huber_loss(v, y, reduction="none"),
    "smooth_l1": lambda v, y: F.smooth_l1_loss(v, y, reduction="none"),
    "logistic": lambda v, y: F.soft_margin_loss(v, y, reduction="none"),
    "poisson": lambda v, y: F.poisson_nll_loss(v, y, log_input=False, eps=0.0, reduction="none"),
}
_TORCH_PAIRS = {
    "sigmoid+cross_entropy": lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none"),
    "softmax+cross_entropy": lambda z, y: F.cross_entropy(z, y, reduction="none"),
    "exp+poisson": lambda z, y: F.poisson_nll_loss(z, y, reduction="none"),
}


def by_torch(pair, kind: str, z, y):
    """torch's own function, or its activation and its cost after another; autograd for δ."""
    if pair.name == "softmax+kl" and np.issubdtype(y.dtype, np.floating):  # it takes no classes
        return _by_autograd(lambda z, y: F.kl_div(F.log_softmax(z, 1), y, reduction="none").sum(1), kind, z, y)
    if loss := _TORCH_PAIRS.get(pair.name):
        return _by_autograd(loss, kind, z, y)
    activation, cost = _TORCH_ACTIVATIONS.get(pair.activation.name), _TORCH_COSTS.get(pair.cost.name)
    if activation is None or cost is None or pair.row:
        return None
    return _by_autograd(lambda z, y: cost(activation(z), y), kind, z, y)


def by_optax(pair, kind: str, z, y):
    """Optax's losses of raw scores, or after JAX's activation; jax.grad for δ."""
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", True)
    activations = {
        "identity": lambda z: z,
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
        "relu": jax.nn.relu,
        "leaky_relu": jax.nn.leaky_relu,
        "elu": jax.nn.elu,
        "softplus": jax.nn.softplus,
        "exp": jnp.exp,
    }
    costs = {
        "mse": optax.squared_error,
        "huber": optax.huber_loss,
        "mae": getattr(optax.losses, "absolute_error", None),
        "hinge": optax.hinge_loss,
        "perceptron": optax.losses.perceptron_loss,
        "log_cosh": optax.losses.log_cosh,
    }
    poisson = getattr(optax.losses, "poisson_nll_loss", None)
    pairs = {
        "sigmoid+cross_entropy": optax.sigmoid_binary_cross_entropy,
        "softmax+cross_entropy": optax.softmax_cross_entropy_with_integer_labels,
        "exp+poisson": poisson,
    }
    loss = pairs.get(pair.name)
    if pair.row and np.issubdtype(y.dtype, np.floating):
        loss = {
            "softmax+cross_entropy": optax.softmax_cross_entropy,
            "softmax+kl": lambda z, y: optax.losses.kl_divergence(jax.nn.log_softmax(z), y),
            "softmax+poly1": optax.losses.poly_loss_cross_entropy,
        }.get(pair.name)
    if loss is None:
        activation, cost = activations.get(pair.activation.name), costs.get(pair.cost.name)
        if activation is None or cost is None:
            return None

        def loss(z, y):
            return cost(activation(z), y)

    z, y = jnp.asarray(z), jnp.asarray(y)
    value, back = jax.vjp(lambda z: loss(z, y), z)
    return np.asarray(value), np.asarray(back(jnp.ones_like(value))[0])


def by_sklearn(pair, kind: str, z, y):
    """The private losses that scikit-learn's linear models and boosted trees share."""
    from sklearn._loss import loss as losses

    name, given = {
        "identity+mse": ("HalfSquaredError", {}),
        "identity+mae": ("AbsoluteError", {}),
        "identity+quantile": ("PinballLoss", {"quantile": pair.parameters.get("quantile")}),
        "identity+exponential": ("ExponentialLoss", {}),
        "sigmoid+cross_entropy": ("HalfBinomialLoss", {}),
        "exp+poisson": ("HalfPoissonLoss", {}),
        "exp+gamma": ("HalfGammaLoss", {}),
        "exp+tweedie": ("HalfTweedieLoss", {"power": pair.parameters.get("power")}),
        "softmax+cross_entropy": ("HalfMultinomialLoss", {}),
    }.get(pair.name, (None, {}))
    if name is None or kind in HALVES:
        return None
    if pair.row:
        if np.issubdtype(y.dtype, np.floating):  # it takes classes only
            return None
        loss = losses.HalfMultinomialLoss(n_classes=z.shape[1])
        y = y.astype(z.dtype)
        return loss.loss_gradient(y, np.ascontiguousarray(z))
    if name == "ExponentialLoss":  # of the labels 0 and 1
        y = (y > 0).astype(y.dtype)
    value, delta = getattr(losses, name)(**given).loss_gradient(np.ascontiguousarray(y), np.ascontiguousarray(z))
    return (2 * value, 2 * delta) if name == "HalfSquaredError" else (value, delta)


OTHERS = {"torch": by_torch, "Optax": by_optax, "scikit-learn": by_sklearn}
