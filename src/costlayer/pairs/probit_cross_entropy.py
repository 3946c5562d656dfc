"""probit+cross_entropy: by φ/Φ of the lesser probability, whose logarithm neither tail loses."""

from costlayer.distributions import density, excess, root_two_pi
from costlayer.pair import ClosedForm
from costlayer.words import absolute, log, log1p, minimum, product, where


def terms(z, y):
    t = absolute(z)
    reach = minimum(t, 1e30)  # nothing times infinity is nothing
    gain, over = density(t), excess(reach)
    hazard = t + over  # φ/Φ(−t)
    tail = gain / hazard
    easy = gain / (1.0 - tail)  # φ/Φ(t)
    right = z >= 0.0
    wrong, fits = where(right, 1.0 - y, y), where(right, y, 1.0 - y)
    square = product(product(wrong, t), 0.5 * t)  # t² may be beyond the largest number
    value = square + product(wrong, log(root_two_pi() * hazard)) - fits * log1p(-tail)
    slope = product(wrong, hazard) - fits * easy
    curvature = wrong * (reach + over) * over + fits * easy * (reach + easy)
    return value, where(right, slope, -slope), curvature


PROBIT_CROSS_ENTROPY = ClosedForm(
    activation="probit",
    cost="cross_entropy",
    summary="Probit regression: a yes where a score with normal noise is above 0.",
    derivative="exp(-z**2/2)/(2*pi)**0.5*((1 - y)/(1 - v) - y/v)",
    terms=terms,
    convex=True,
    steady=True,
    limits="On the right side the value falls as e^−z²/2; on the wrong side it grows as z²/2 and |δ| as |z|, so that a "
    "mistaken label pulls the harder the surer the network is.",
    reference="Bliss (1934), The method of probits; McCullagh and Nelder (1989), Generalized linear models, chapter 4",
)
