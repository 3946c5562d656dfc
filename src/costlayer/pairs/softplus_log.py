"""The logarithm of softplus and its derivatives, which keep their digits where softplus itself underflows."""

from costlayer.words import absolute, exp, log, log1p, maximum, where


def terms(z):
    """v = softplus(z), ln v, and the first and second derivative of ln v."""
    e = exp(-absolute(z))
    r = 1.0 / (1.0 + e)
    v = maximum(z, 0.0) + log1p(e)
    # For z < 0, where v = log1p(e): ln v = z + log1p(shrink), shrink = log1p(e) / e - 1; a series where e is small.
    t = -e
    series = 1.0 / 9.0 + t * (
        1.0 / 10.0 + t * (1.0 / 11.0 + t * (1.0 / 12.0 + t * (1.0 / 13.0 + t * (1.0 / 14.0 + t / 15.0))))
    )
    series = 1.0 / 5.0 + t * (1.0 / 6.0 + t * (1.0 / 7.0 + t * (1.0 / 8.0 + t * series)))
    series = t * (1.0 / 2.0 + t * (1.0 / 3.0 + t * (1.0 / 4.0 + t * series)))
    small = e < 0.05
    shrink = where(small, series, (log1p(e) - e) / where(small, 1.0, e))
    slope = where(z < 0.0, r / (1.0 + shrink), r / v)
    bend = where(z < 0.0, shrink * slope * slope, (e * r - slope) * slope)
    return v, where(z < 0.0, z + log1p(shrink), log(v)), slope, bend
