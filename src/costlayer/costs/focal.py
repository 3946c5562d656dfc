"""focal: cross entropy that turns away from the examples it already gets right."""

from costlayer.pair import NON_NEGATIVE, UNIT, Cost, Interval, Parameter
from costlayer.words import exp, log, log1p, product, where


def yes(v, gamma):
    """−(1 − v)^γ ln v and its derivatives."""
    log_v = log(v)
    rest = where(v == 1.0, 1.0, 1.0 - v)  # anything that no division minds: nothing is left of γ or of the scale there
    ratio = log_v / rest
    scale = exp(product(gamma, log1p(-v)))  # (1 − v)^γ, which is 1 at γ = 0 even where v is 1
    slope = scale * (gamma * ratio - 1.0 / v)
    inner = gamma * (gamma - 1.0) * ratio / rest - 2.0 * gamma / (v * rest) - 1.0 / (v * v)
    return -product(scale, log_v), slope, -scale * inner


def terms(v, y, gamma):
    value, slope, curve = yes(v, gamma)
    return product(y, value), y * slope, y * curve


def terms_of_one(v, y, gamma, alpha):
    a, b = where(alpha < 0.0, 1.0, alpha) * y, where(alpha < 0.0, 1.0, 1.0 - alpha) * (1.0 - y)
    value, slope, curve = yes(v, gamma)
    other, fall, bend = yes(1.0 - v, gamma)
    return (
        product(a, value) + product(b, other),
        product(a, slope) - product(b, fall),
        product(a, curve) + product(b, bend),
    )


GAMMA = Parameter(2.0, NON_NEGATIVE, "How much less the sure examples count, 2 by default.")

OF_ONE = Cost(
    name="focal",
    summary="Cross entropy, scaled by what the truth lacks to the power gamma, so that what is sure counts little, and "
    "by alpha for a yes, 1 − alpha for a no.",
    domain=UNIT,
    target=UNIT,
    formula="-(alpha*y*(1 - v)**gamma*ln(v) + (1 - alpha)*(1 - y)*v**gamma*ln(1 - v))",
    derivative="alpha*y*(gamma*(1 - v)**(gamma - 1)*ln(v) - (1 - v)**gamma/v)"
    " - (1 - alpha)*(1 - y)*(gamma*v**(gamma - 1)*ln(1 - v) - v**gamma/(1 - v))",
    terms=terms_of_one,
    natural="sigmoid+focal",
    yes_or_no=True,
    listed=("sigmoid",),
    limits="With alpha = −1, as in torchvision, both weights are 1: with gamma = 0 that is cross_entropy, and alpha = "
    "0.5 half of it. On the wrong side it grows as that does. A target in between counts as so many yeses and noes.",
    reference="Lin et al. (2017), Focal loss for dense object detection",
    steady=False,
    steep=True,
    parameters={
        "gamma": GAMMA,
        "alpha": Parameter(
            0.25,
            Interval(-1.0, 1.0),
            "What a yes counts, 0.25 by default; a no counts 1 − alpha. Below 0 both count 1, as in torchvision.",
        ),
    },
)

FOCAL = Cost(
    name="focal",
    summary="Cross entropy, with each class's term scaled by (1 − v) to the power gamma: what is sure counts little.",
    domain=UNIT,
    target=UNIT,
    formula="-y*(1 - v)**gamma*ln(v)",
    derivative="y*(gamma*(1 - v)**(gamma - 1)*ln(v) - (1 - v)**gamma/v)",
    terms=terms,
    natural="softmax+focal",
    rows_only=True,
    of_one=OF_ONE,
    limits="With gamma = 0 it is cross_entropy. On the wrong side it grows as that does.",
    reference="Lin et al. (2017), Focal loss for dense object detection",
    convex=False,
    steady=False,
    parameters={"gamma": GAMMA},
)
