"""The JAX front: pairs as functions of `jax.numpy` arrays, under every transformation of JAX."""

from costlayer.errors import MissingExtra

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise MissingExtra("jax", "jax") from error

from costlayer.jax.cost import predict, value

__all__ = ["predict", "value"]
