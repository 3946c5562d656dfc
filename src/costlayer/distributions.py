"""The normal and the Cauchy distribution as formulas, for the activations and the pairs that are made of them.

What stands for a constant or for a function that is no word is a formula of its own here, which the tests replace by
what it stands for and are held to. `benchmarks/coefficients.py` derives the polynomials.
"""

from costlayer.words import exp, maximum, where


def pi():
    return 3.141592653589793


def root_two_pi():
    return 2.5066282746310007


def arctan_over(x):
    """arctan(x)/x for x in [0, 1], by a polynomial in x²."""
    t = x * x
    p = 1.3184309888376701e-05
    p = 0.0008296698654705938 + t * (-0.00015177818874318477 + t * p)
    p = 0.007188719220142083 + t * (-0.002880572343406609 + t * p)
    p = 0.021975234768739825 + t * (-0.013890520169702027 + t * p)
    p = 0.03663809477449036 + t * (-0.02989690329810874 + t * p)
    p = 0.04722273513354905 + t * (-0.04219020799629392 + t * p)
    p = 0.05880526251283888 + t * (-0.05253507804454447 + t * p)
    p = 0.0769227984518524 + t * (-0.06666403945898176 + t * p)
    p = 0.11111111007260535 + t * (-0.09090907005266499 + t * p)
    p = 0.19999999999951748 + t * (-0.14285714282586967 + t * p)
    return 1.0 + t * (-0.3333333333333307 + t * p)


def excess(t):
    """φ(t)/Φ(−t) − t for t ≥ 0, which falls from √(2/π) to 1/t: by a polynomial in (t − 4)/(t + 4), times 1/(t + 4)."""
    w = 1.0 - 8.0 / (t + 4.0)
    p = -1.310435603739075e-08
    p = 1.0770685346104281e-07 + w * (1.652069560592009e-08 + w * p)
    p = -4.2986017087990375e-07 + w * (-1.3590074184797377e-07 + w * p)
    p = 1.1117680368606882e-06 + w * (6.140866498421472e-07 + w * p)
    p = -1.8030568652363521e-06 + w * (-2.3467946025473178e-06 + w * p)
    p = -8.845797721597423e-07 + w * (8.899371060295099e-06 + w * p)
    p = 2.5257372739133784e-05 + w * (-3.2353203960455614e-05 + w * p)
    p = -0.00015018706975643934 + w * (0.00010525847336373276 + w * p)
    p = 0.0006654528641280638 + w * (-0.00028944195743296086 + w * p)
    p = -0.0024857834415722736 + w * (0.0005948982829221608 + w * p)
    p = 0.007961409952569254 + w * (-0.00037359403888901895 + w * p)
    p = -0.02080045420978306 + w * (-0.004488588895382911 + w * p)
    p = 0.03370366764862165 + w * (0.03165652741642293 + w * p)
    p = 0.06751792792287681 + w * (-0.13822449147633498 + w * p)
    p = -1.18220450151928 + w * (0.4019567038061923 + w * p)
    p = 1.8048571559157687 + w * p
    return p / (t + 4.0)


def density(t):
    """φ(t) for t ≥ 0. Rounding t² would cost as many units as that is large: it is taken of the first bits of t, which
    is exact (in float32, which has fewer, nothing is split off, and φ ends at t = 14)."""
    short = t < 40.0
    first = where(short, (t + 6442450944.0) - 6442450944.0, t)
    rest = where(short, (t - first) * (t + first), 0.0)
    return exp(-0.5 * first * first) * exp(-0.5 * rest) / root_two_pi()


def cauchy(t):
    """Of t ≥ 0, with x the lesser of t and 1/t: Φ(−t), the density, that over Φ(−t), and 2t/(1 + t²)."""
    far = t > 1.0
    x = where(far, 1.0 / maximum(t, 1.0), t)
    ratio, square = arctan_over(x), 1.0 + x * x
    share = x * ratio / pi()
    tail, gain = where(far, share, 0.5 - share), where(far, x * x, 1.0) / (pi() * square)
    return tail, gain, where(far, x / (ratio * square), gain / (0.5 - share)), 2.0 * x / square
