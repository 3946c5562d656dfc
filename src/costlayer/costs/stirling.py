"""What Stirling's formula leaves of the logarithm of Γ, which large shapes and degrees of freedom are computed by.

Below 8 the series would not do: the argument is raised by 10 first, by Γ(x + 1) = x Γ(x).
"""

from costlayer.words import log, product, where


def remainder(x, log_x):
    """c(x) = ln Γ(x) − (x − ½) ln x + x − ½ ln(2π), x c'(x), and x times the derivative of that."""
    near = x < 8.0
    high = where(near, x + 10.0, x)
    r = 1.0 / high
    t = r * r
    c, slope, curve = by_series(t)
    c, slope, curve = r * c, r * slope, r * curve
    whole, cube = x > 1e-3, high * high * high
    p, q, u = (x + 1.0) * (x + 2.0) * (x + 3.0), (x + 4.0) * (x + 5.0) * (x + 6.0), (x + 7.0) * (x + 8.0) * (x + 9.0)
    once = r_sum(x + 1.0, x + 2.0, x + 3.0) + r_sum(x + 4.0, x + 5.0, x + 6.0) + r_sum(x + 7.0, x + 8.0, x + 9.0)
    twice = (
        r_squares(x + 1.0, x + 2.0, x + 3.0)
        + r_squares(x + 4.0, x + 5.0, x + 6.0)
        + r_squares(x + 7.0, x + 8.0, x + 9.0)
    )
    # of a small x the logarithm may be all that is left
    gap, share = log(where(whole, high / x, high)) - where(whole, 0.0, log_x), x * r
    low = c + ((x + 0.5) * gap + (log((cube / p) * (cube / q) * (cube / u)) - 10.0))
    beside = product(x, gap) - 0.5 * share + share * slope - x * once  # as small as x, and all that curve has of it
    low_curve = beside + x * x * twice + share * share * (high + 0.5 + curve - slope) - x
    return where(near, low, c), where(near, beside - 0.5, slope), where(near, low_curve, curve)


def r_sum(a, b, c):
    return 1.0 / a + 1.0 / b + 1.0 / c


def r_squares(a, b, c):
    return 1.0 / (a * a) + 1.0 / (b * b) + 1.0 / (c * c)


def by_series(t):
    """The series of the three, in units of 1/x, at t = 1/x²."""
    c = 1.0 / 156.0 + t * (-3617.0 / 122400.0 + t * (43867.0 / 244188.0 - t * 174611.0 / 125400.0))
    c = 1.0 / 1260.0 + t * (-1.0 / 1680.0 + t * (1.0 / 1188.0 + t * (-691.0 / 360360.0 + t * c)))
    slope = -1.0 / 12.0 + t * (3617.0 / 8160.0 + t * (-43867.0 / 14364.0 + t * 174611.0 / 6600.0))
    slope = -1.0 / 252.0 + t * (1.0 / 240.0 + t * (-1.0 / 132.0 + t * (691.0 / 32760.0 + t * slope)))
    curve = 13.0 / 12.0 + t * (-3617.0 / 544.0 + t * (43867.0 * 17.0 / 14364.0 - t * 174611.0 * 19.0 / 6600.0))
    curve = 5.0 / 252.0 + t * (-7.0 / 240.0 + t * (9.0 / 132.0 + t * (-691.0 * 11.0 / 32760.0 + t * curve)))
    return (
        1.0 / 12.0 + t * (-1.0 / 360.0 + t * c),
        -1.0 / 12.0 + t * (1.0 / 120.0 + t * slope),
        1.0 / 12.0 + t * (-1.0 / 40.0 + t * curve),
    )


def half_step(x):
    """ln Γ(x + ½) − ln Γ(x) − ½ ln x."""
    near = x < 8.0
    high = where(near, x + 10.0, x)
    t = 1.0 / (high * high)
    series = -31.0 / 18432.0 + t * (691.0 / 180224.0 + t * (-5461.0 / 425984.0 + t * 929569.0 / 15728640.0))
    series = (-1.0 / 8.0 + t * (1.0 / 192.0 + t * (-1.0 / 640.0 + t * (17.0 / 14336.0 + t * series)))) / high
    p = (x + 1.0) / (x + 1.5) * ((x + 2.0) / (x + 2.5)) * ((x + 3.0) / (x + 3.5)) * ((x + 4.0) / (x + 4.5))
    q = (x + 5.0) / (x + 5.5) * ((x + 6.0) / (x + 6.5)) * ((x + 7.0) / (x + 7.5)) * ((x + 8.0) / (x + 8.5))
    raised = p * q * ((x + 9.0) / (x + 9.5)) / (x + 0.5)  # of Γ(x + ½)/Γ(x) by x
    return series + where(near, log(raised) + 0.5 * log(x * high), 0.0)
