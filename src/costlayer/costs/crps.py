"""crps: the continuous ranked probability score of a normal distribution, of a mean and a standard deviation."""

from costlayer.pair import POSITIVE, REALS, Cost, over
from costlayer.words import erf, exp, product


def terms(error, s, log_s, f, g):
    w = over(error, f, g)
    bell = 0.7978845608028654 * exp(-0.5 * w * w)  # √(2/π): twice the density at w
    by_error = erf(0.7071067811865476 * w)
    by_log = s * (bell - 0.5641895835477563)  # 1/√π
    return (
        error * by_error + by_log,
        by_error,
        by_log,
        over(bell, f, g),
        -product(w, bell),
        s * (bell + product(product(bell, w), w) - 0.5641895835477563),
    )


CRPS = Cost(
    name="crps",
    summary="A mean and a standard deviation, scored in the units of y: the mean absolute error of a distribution.",
    domain=REALS,
    second_domain=POSITIVE,
    target=REALS,
    formula="(v - y)*erf((v - y)/(2**0.5*s)) + s*((2/pi)**0.5*exp(-((v - y)/s)**2/2) - 1/pi**0.5)",
    derivative="erf((v - y)/(2**0.5*s))",
    second_derivative="(2/pi)**0.5*exp(-((v - y)/s)**2/2) - 1/pi**0.5",
    terms=terms,
    of_error=True,
    natural="identity_exp+crps",
    listed=("identity_exp", "identity_softplus"),
    limits="The error pulls by 1 at most, and value → |v − y| as s → 0: being too sure costs no more than the error.",
    reference="Gneiting, Raftery, Westveld and Goldman (2005), Calibrated probabilistic forecasting using ensemble "
    "model output statistics and minimum CRPS estimation",
    convex=False,
)
