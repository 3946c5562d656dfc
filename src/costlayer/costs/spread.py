"""What costs of a location and a scale have in common."""

from costlayer.words import where


def added(log_s, ell):
    """ln s + ell, infinite where ell is: at a scale of 0 any error is infinitely wrong."""
    value = log_s + ell
    return where(value == value, value, ell)
