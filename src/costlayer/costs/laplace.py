"""laplace: the negative log-likelihood of a distribution with a peak and long tails, of a median and a scale."""

from costlayer.costs.spread import added
from costlayer.pair import POSITIVE, REALS, Cost, over
from costlayer.words import absolute, fixed, sign


def terms(error, s, log_s, f, g):
    w = absolute(over(error, f, g))
    by_error = over(sign(error), f, g)
    return added(log_s, w + 0.6931471805599453), by_error, 1.0 - w, fixed(0.0, w), -by_error, w


LAPLACE = Cost(
    name="laplace",
    summary="Regression to the median that says how sure it is: a median, and the mean error to expect.",
    domain=REALS,
    second_domain=POSITIVE,
    target=REALS,
    formula="ln(2*s) + abs(v - y)/s",
    derivative="sign(v - y)/s",
    second_derivative="(1 - abs(v - y)/s)/s",
    terms=terms,
    of_error=True,
    natural="identity_exp+laplace",
    listed=("identity_exp", "identity_softplus"),
    limits="However large the error, it pulls the median by 1/s; at the kink, v = y, that pull is taken as 0.",
    reference="Laplace (1774), Mémoire sur la probabilité des causes par les événements",
    convex=False,
)
