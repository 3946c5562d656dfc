"""The PyTorch front."""

from costlayer.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra("torch", "torch") from error

from costlayer.torch.layer import CostLayer as CostLayer

__all__ = ["CostLayer"]
