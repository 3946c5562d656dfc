"""gaussian: the normal distribution's negative log-likelihood, of a mean and a standard deviation."""

from costlayer.costs.spread import added
from costlayer.pair import POSITIVE, REALS, Cost, over
from costlayer.words import fixed


def terms(error, s, log_s, f, g):
    w = over(error, f, g)
    precision = over(over(fixed(1.0, error), f, g), f, g)
    by_error = over(w, f, g)
    return (
        added(log_s, 0.5 * w * w + 0.9189385332046728),  # ln(2π)/2
        by_error,
        (1.0 - w) * (1.0 + w),
        precision,
        -2.0 * by_error,
        2.0 * w * w,
    )


GAUSSIAN = Cost(
    name="gaussian",
    summary="Regression that says how sure it is: a mean and a standard deviation, as of a normal distribution.",
    domain=REALS,
    second_domain=POSITIVE,
    target=REALS,
    formula="ln(s) + (v - y)**2/(2*s**2) + ln(2*pi)/2",
    derivative="(v - y)/s**2",
    second_derivative="(1 - ((v - y)/s)**2)/s",
    terms=terms,
    of_error=True,
    natural="identity_exp+gaussian",
    listed=("identity_exp", "identity_softplus"),
    limits="The error pulls by 1/s²: where s is large it hardly does, and an error that s does not expect pulls s up.",
    reference="Nix and Weigend (1994), Estimating the mean and variance of the target probability distribution",
    convex=False,
)
