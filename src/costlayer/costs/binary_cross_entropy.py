"""binary_cross_entropy: every output is a yes-or-no question of its own."""

from dataclasses import replace

from costlayer.costs.cross_entropy import CROSS_ENTROPY

BINARY_CROSS_ENTROPY = replace(
    CROSS_ENTROPY,
    name="binary_cross_entropy",
    summary="The negative log-likelihood of each output as a yes-or-no question of its own.",
    natural="sigmoid+cross_entropy",
)
