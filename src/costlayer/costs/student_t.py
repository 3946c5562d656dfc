"""student_t: the negative log-likelihood of Student's t, whose heavy tails let go of outliers."""

from costlayer.costs.spread import added
from costlayer.costs.stirling import half_step
from costlayer.pair import POSITIVE, REALS, Cost, Parameter, over
from costlayer.words import absolute, log, log1p, where


def terms(error, s, log_s, f, g, df):
    w = over(error, f, g)
    size = absolute(w)
    far, beyond = size > 1.0, size > 1e15
    r = where(far, 1.0 / where(far, w, 1.0), w)  # w² may be beyond the largest number, and w too
    square = r * r
    both = where(far, 1.0 + df * square, df + square)  # df + w², in units of w² far out
    tail, off = df + 1.0, where(far, error, 1.0)
    near = where(beyond, 1.0, size)
    ell = 0.5 * tail * log1p(near * near / df)
    # ln|w| = ln|error| − ln s
    out = tail * log(where(beyond, absolute(error), 1.0)) + 0.5 * tail * (log1p(df * square) - log(df))
    turned = -2.0 * df * tail / (both * both)
    return (
        where(beyond, added(-df * log_s, out), added(log_s, ell)) + (0.9189385332046728 - half_step(0.5 * df)),
        where(far, tail / (both * off), over(tail * r / both, f, g)),
        df * where(far, -1.0, 1.0) * (1.0 - r) * (1.0 + r) / both,
        where(
            far,
            tail * (df * square - 1.0) / (both * both) / off / off,
            over(over(tail * (df - square) / (both * both), f, g), f, g),
        ),
        where(far, turned * square / off, over(turned * r, f, g)),
        -turned * square,
    )


STUDENT_T = Cost(
    name="student_t",
    summary="Regression that says how sure it is and lets go of outliers: a location and a scale, with heavy tails.",
    domain=REALS,
    second_domain=POSITIVE,
    target=REALS,
    formula="ln(s) + (df + 1)/2*ln(1 + ((v - y)/s)**2/df) + ln(df*pi)/2 + lngamma(df/2) - lngamma((df + 1)/2)",
    derivative="(df + 1)*(v - y)/(df*s**2 + (v - y)**2)",
    second_derivative="df*(s**2 - (v - y)**2)/(df*s**2 + (v - y)**2)/s",
    terms=terms,
    of_error=True,
    natural="identity_exp+student_t",
    listed=("identity_exp", "identity_softplus"),
    limits="The pull is largest at an error of s √df, and falls as (df + 1)/error beyond it; on ln s it is df at most.",
    reference="Lange, Little and Taylor (1989), Robust statistical modeling using the t distribution",
    convex=False,
    steady=False,
    parameters={"df": Parameter(4.0, POSITIVE, "The degrees of freedom: the fewer, the heavier the tails.")},
)
