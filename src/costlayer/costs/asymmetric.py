"""asymmetric: a focal cost of yes-or-no labels of which few are a yes, that looks away from the noes."""

from costlayer.costs.focal import yes
from costlayer.pair import NON_NEGATIVE, UNIT, Cost, Interval, Parameter
from costlayer.words import product, where


def terms(v, y, gamma_pos, gamma_neg, clip):
    value, slope, curve = yes(v, gamma_pos)
    still = v <= clip
    rest = where(still, 0.5, (1.0 - v) + clip)  # anything that no division minds
    no, fall, bend = yes(rest, gamma_neg)
    no, fall, bend = where(still, 0.0, no), where(still, 0.0, fall), where(still, 0.0, bend)
    return (
        product(y, value) + product(1.0 - y, no),
        product(y, slope) - product(1.0 - y, fall),
        product(y, curve) + product(1.0 - y, bend),
    )


_POWER = "How much less the sure {} count, {} by default."

ASYMMETRIC = Cost(
    name="asymmetric",
    summary="The focal cost with a power of its own for yes and no; noes below the probability clip count nothing.",
    domain=UNIT,
    target=UNIT,
    formula="-(y*(1 - v)**gamma_pos*ln(v) + (1 - y)*max(v - clip, 0)**gamma_neg*ln(1 - max(v - clip, 0)))",
    derivative="y*(gamma_pos*(1 - v)**(gamma_pos - 1)*ln(v) - (1 - v)**gamma_pos/v)"
    " + where(v > clip, (1 - y)*((v - clip)**gamma_neg/(1 + clip - v)"
    " - gamma_neg*(v - clip)**(gamma_neg - 1)*ln(1 + clip - v)), 0)",
    terms=terms,
    natural="sigmoid+asymmetric",
    yes_or_no=True,
    listed=("sigmoid",),
    limits="With both powers and clip at 0 it is cross_entropy. Under a no, value and δ are 0 up to v = clip, and the "
    "value at most that of v = 1 − clip: δ dies where v nears 1, as such a no may well be a yes that nobody marked.",
    reference="Ridnik et al. (2021), Asymmetric loss for multi-label classification",
    steady=False,
    parameters={
        "gamma_pos": Parameter(1.0, NON_NEGATIVE, _POWER.format("yeses", 1)),
        "gamma_neg": Parameter(4.0, NON_NEGATIVE, _POWER.format("noes", 4)),
        "clip": Parameter(
            0.05, Interval(0.0, 1.0, high_closed=False), "What is taken off a no's probability, 0.05 by default."
        ),
    },
)
