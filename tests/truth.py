"""The truth that accuracy is measured against: the printed formulas, by mpmath, to more digits than can cancel.

It shares nothing with the programs but those formulas: derivatives are central differences of the value.
"""

import ast
import itertools
from functools import cache

import mpmath
import numpy as np
from mpmath import mp

from costlayer import words
from costlayer.pair import Pair

DIGITS = 1000  # 1 - tanh 800 is 1e-695
STEP = "1e-60"


@cache
def _once(function, precision, x):
    return function(x)


def once(function):
    """What takes the time, once for every number."""
    return lambda x: _once(function, mp.prec, x)


exp, ln, erfc, tanh, log1p = map(once, (mp.exp, mp.log, mp.erfc, mp.tanh, mp.log1p))
# mpmath's numbers as an engine's words.
WORDS = {
    "absolute": abs,
    "double": mp.mpf,
    "erf": once(mp.erf),
    "exp": exp,
    "expm1": once(mp.expm1),
    "log": ln,
    "log1p": log1p,
    "log1p_unit": log1p,
    "maximum": max,
    "minimum": min,
    "real": mp.mpf,
    "sign": mp.sign,
    "sqrt": mp.sqrt,
    "tanh": tanh,
    "where": words.where,
}


def normal(x):
    """Φ(x), of which both signs share what takes the time."""
    tail = erfc(abs(x) / mp.sqrt(2)) / 2
    return tail if x < 0 else 1 - tail


_NAMES = {
    "Phi": normal,
    "abs": abs,
    "erf": once(mp.erf),
    "arctan": mp.atan,
    "exp": exp,
    "ln": ln,
    "lngamma": once(mp.loggamma),
    "max": max,
    "min": min,
    "mpf": mp.mpf,
    "pi": mp.pi,
    "psi": once(mp.digamma),
    "sign": mp.sign,
    "softplus": lambda x: ln(1 + exp(x)),
    "sigma": lambda x: 1 / (1 + exp(-x)),
    "tanh": tanh,
    "add": lambda terms: mp.fsum(terms),
    "multiply": lambda terms: mp.fprod(terms),
    "largest": max,
}
_OVER = {"sum": "add", "prod": "multiply", "most": "largest"}


class _ToPython(ast.NodeTransformer):
    """From the notation of formulas to Python: `sum(e, k)` adds over the scores of a row, `where` is lazy, 1 − v is
    `rest`."""

    def visit_BinOp(self, node):
        return ast.Name("rest") if ast.unparse(node) == "1 - v" else self.generic_visit(node)

    def visit_Call(self, node):
        self.generic_visit(node)
        match node.func.id, node.args:
            case "sum" | "prod" | "most" as name, [body, index]:
                condition = [index] if isinstance(index, ast.Compare) else []
                place = ast.Name((index.left if condition else index).id, ast.Store())
                every = ast.comprehension(place, ast.Call(ast.Name("range"), [ast.Name("K")], []), condition, 0)
                return ast.Call(ast.Name(_OVER[name]), [ast.ListComp(body, [every])], [])
            case "where", [condition, a, b]:
                return ast.IfExp(condition, a, b)
        return node

    def visit_Constant(self, node):
        return ast.Call(ast.Name("mpf"), [ast.Constant(str(node.value))], []) if isinstance(node.value, float) else node


@cache
def _code(source: str):
    return compile(ast.unparse(_ToPython().visit(ast.parse(source, mode="eval"))), source, "eval")


def formula(source: str, **names):
    """A printed formula, evaluated; `rest` is 1 − v, unless it is given where it has more digits, and K how many scores
    a row has."""
    if "v" in names and not isinstance(names["v"], list):
        names = {"rest": 1 - names["v"], **names}
    return eval(_code(source), {**_NAMES, **names})


def given(pair: Pair) -> dict:
    return {name: mp.mpf(value) for name, value in pair.parameters.items()}


def predict(pair: Pair, z):
    """φ(z) by the printed formula: of one score, or of the list of a row's."""
    if not pair.row:
        return formula(pair.activation.formula, z=z, **given(pair))
    if pair.written:
        names = {"z": z, "K": len(z)}
        names |= {"tau": THRESHOLDS[pair.activation.name](z)} if pair.activation.given else {}
        return [formula(pair.activation.formula, j=j, **names) for j in range(len(z))]
    largest = max(z)
    scores = [exp(score - largest) for score in z]  # exp(800) is no trouble, but slow
    total = mp.fsum(scores)
    return [score / total for score in scores]


def sparsemax_threshold(z):
    """τ by sorting (Martins and Astudillo, 2016, algorithm 1)."""
    z = sorted(z, reverse=True)
    sums = [mp.fsum(z[: k + 1]) for k in range(len(z))]
    last = max(k for k in range(len(z)) if 1 + (k + 1) * z[k] > sums[k])
    return (sums[last] - 1) / (last + 1)


def entmax15_threshold(z):
    """τ by sorting (Peters, Niculae and Martins, 2019, algorithm 2)."""
    z = sorted((score / 2 for score in z), reverse=True)
    for k in range(1, len(z) + 1):
        mean = mp.fsum(z[:k]) / k
        spread = mp.fsum((score - mean) ** 2 for score in z[:k])
        tau = mean - mp.sqrt(max((1 - spread) / k, 0))
        if k == len(z) or z[k] <= tau:
            return tau
    raise AssertionError


THRESHOLDS = {"sparsemax": sparsemax_threshold, "entmax15": entmax15_threshold}


def names_of(pair: Pair, z, y) -> dict:
    """What the formulas of a row pair speak of; y are probabilities, 1 for the class t."""
    names = {"z": z, "v": predict(pair, z), "y": y, "t": list(y).index(max(y)), "K": len(z), **given(pair)}
    if pair.activation.thresholds:  # v_{K−1} = 0 and v_{−1} = 1, as the printed formulas have it
        names["v"] = [*names["v"], mp.mpf(0), mp.mpf(1)]
    if pair.activation.given:
        names["tau"] = THRESHOLDS[pair.activation.name](z)
    return names


# Where the printed formula is not the definition: the loss as Martins and Astudillo (2016), equation 12, have it.
SPARSEMAX_LOSS = "sum(where(z[j] > tau, z[j]**2 - tau**2, 0) + y[j]**2, j)/2 - sum(y[j]*z[j], j)"


REST = {"probit": "Phi(-z)", "cloglog": "exp(-exp(z))"}  # 1 − v, of which DIGITS would leave nothing


def steep(pair: Pair, z):
    """By how much more than others a gain loses: rounding e^z, under cloglog, moves exp(−e^z) by e^z units."""
    return 1 + exp(z) / 8 if str(pair.activation) == "cloglog" else 1


def names(pair: Pair, z, y) -> dict:
    """What the names in a pointwise pair's formulas stand for."""
    found = {"z": z, "y": y, "v": predict(pair, z), **given(pair)}
    return found | ({"rest": formula(REST[str(pair.activation)], z=z)} if str(pair.activation) in REST else {})


def composed(pair: Pair, z, y):
    """The cost of the prediction: for rows the sum over the classes; softmax+cross_entropy is −Σ y ln v by name."""
    if pair.written:
        source = pair._formula() if pair.cost.name == "fenchel_young" else pair.cost.formula
        return formula(SPARSEMAX_LOSS if pair.activation.name == "sparsemax" else source, **names_of(pair, z, y))
    if not pair.row:
        return formula(pair.cost.formula, **names(pair, z, y))
    v, parameters = predict(pair, z), given(pair)
    if pair.cost.name == "cross_entropy":
        return -mp.fsum(goal * ln(p) for p, goal in zip(v, y, strict=True))
    return mp.fsum(formula(pair.cost.formula, v=p, y=goal, **parameters) for p, goal in zip(v, y, strict=True))


def differences(function, z, size=1):
    """A function and its first and second derivative at z, by central differences of a step small beside `size`."""
    h = mp.mpf(STEP) * size
    left, middle, right = function(z - h), function(z), function(z + h)
    return middle, (right - left) / (2 * h), (right - 2 * middle + left) / (h * h)


@cache
def pointwise(pair: Pair, z: float, y: float):
    """Value, δ and curvature."""
    with mp.workdps(DIGITS):
        goal = mp.mpf(y)
        return differences(lambda score: composed(pair, score, goal), mp.mpf(z))


@cache
def row(pair: Pair, z: tuple, y: tuple):
    """Value, and for each score δ and curvature; y are probabilities."""
    with mp.workdps(DIGITS):
        z, y = [mp.mpf(score) for score in z], [mp.mpf(goal) for goal in y]

        def along(j):
            return lambda score: composed(pair, [*z[:j], score, *z[j + 1 :]], y)

        found = [differences(along(j), z[j]) for j in range(len(z))]
        return found[0][0], [slope for _, slope, _ in found], [curve for _, _, curve in found]


def predict_two(pair: Pair, scores) -> dict:
    """The two predictions, by the names that the formulas have for them."""
    named = zip(pair.cost.symbols, pair.activation.parts, scores, strict=True)
    return {symbol: formula(part.formula, z=z) for symbol, part, z in named}


def two_digits(pair: Pair, z: tuple[float, float]) -> int:
    """How many digits differences need: beside a scale of 1e-304 steps are as small, and so are exponential tails
    beside an error of 1. ln Γ is slow, and needs few."""
    return 600 + int(abs(z[1])) if pair.cost.of_error else 300


@cache
def two_scores(pair: Pair, z: tuple[float, float], y: float):
    """Value, δ of both scores, and the second derivatives by the first, by both, and by the second."""
    with mp.workdps(two_digits(pair, z)):
        x, t, goal = mp.mpf(z[0]), mp.mpf(z[1]), mp.mpf(y)
        s = predict_two(pair, (x, t))[pair.cost.symbols[1]] if pair.cost.of_error else 1
        size = min(s, 1)  # what a location may move by, without leaving the scale

        def at(x, t):
            return formula(pair.cost.formula, y=goal, **predict_two(pair, (x, t)), **given(pair))

        value, slope, curve = differences(lambda x: at(x, t), x, size)
        _, second_slope, second_curve = differences(lambda t: at(x, t), t)
        h, k = mp.mpf(STEP) * size, mp.mpf(STEP)
        both = (at(x + h, t + k) - at(x + h, t - k) - at(x - h, t + k) + at(x - h, t - k)) / (4 * h * k)
        return value, slope, second_slope, curve, both, second_curve


@cache
def smooth(pair: Pair, z: float, y: float) -> bool:
    """Whether the value has its derivatives there: at a kink of the value the second difference is beyond bounds, at
    one of the slope those to the left and to the right differ."""
    with mp.workdps(600):
        h, goal = mp.mpf(STEP), mp.mpf(y)
        far_left, left, middle, right, far_right = (composed(pair, z + k * h, goal) for k in (-2, -1, 0, 1, 2))
        curves = [
            (b - 2 * a + c) / (h * h)
            for b, a, c in ((middle, left, far_left), (left, middle, right), (middle, right, far_right))
        ]
        return max(curves) - min(curves) <= mp.mpf("1e-20") * (max(map(abs, curves)) + mp.mpf("1e-20"))


def rounded(x, dtype) -> np.floating:
    """A number of mpmath as the nearest of the type, infinite where it is beyond the largest."""
    real = np.dtype(dtype).type
    with np.errstate(over="ignore", under="ignore"):
        return real(np.float64(float(x) if abs(x) < mpmath.mpf("1e4000") else mp.sign(x) * np.inf))


def close(got, truth, scale, dtype, ulps=8, what="", steps=8) -> None:
    """Within `ulps` units in the last place of the scale, the truth itself where nothing cancels; and `steps` of the
    smallest numbers, below which nothing is left to round."""
    limits = np.finfo(dtype)
    if mp.isinf(truth) or abs(truth) > mp.mpf(float(limits.max)):
        assert got == np.sign(float(mp.sign(truth))) * np.inf, f"{what}: {got}, truth {mp.nstr(truth, 8)}"
        return
    room = ulps * mp.mpf(float(limits.eps)) * abs(scale) + steps * mp.mpf(float(limits.smallest_subnormal))
    if mp.isinf(room) and np.isinf(got):
        assert got * mp.sign(truth) > 0, f"{what}: {got}, truth {mp.nstr(truth, 17)}"
        return
    assert np.isfinite(got), f"{what}: {got}, truth {mp.nstr(truth, 17)}"
    off = abs(mp.mpf(float(got)) - truth)
    good = off <= room
    assert good, f"{what}: {got!r}, truth {mp.nstr(truth, 17)}, off by {mp.nstr(off / (room / ulps), 4)} ulp"


SCORES = tuple(
    float(np.float32(sign * size))
    for size in (1e-8, 0.1, 1, 2.5, 3, 5, 10, 17, 20, 30, 50, 63.8, 88, 90, 100, 300, 700, 800)
    for sign in (1, -1)
)
TWO_SCORES = tuple(
    ((location, scale), y)
    for location, y in ((0.3125, 0.3125), (-30.0, 1.0), (12.5, -1.0), (0.3125, 1.0))
    for scale in (-700.0, -88.0, -30.0, -5.0, -1.0, 0.5, 3.0, 20.0, 90.0, 700.0)
)
SHAPES = tuple(
    ((a, b), y)
    for a, b in itertools.product((-90.0, -5.0, -1.0, 0.5, 2.25, 3.0, 12.0, 90.0), repeat=2)
    for y in (2.0**-20, 0.25, 0.5, 0.875)
)
ROWS = (
    (0.0, 0.0, 0.0),
    (1.0, -2.0, 0.5),
    (0.25, 0.5),
    (1.0, 1.0, 1.0, 1.0),
    (-3.0, 17.0),
    (17.0, 0.0, 0.0),
    (0.0, 30.0, -2.0),
    (80.0, 0.0, 1.5, -7.0),
    (-100.0, 100.0, 0.0),
    (700.0, 700.5, -3.0),
    (-350.0, 0.0, 350.0),
)
SHARES = (0.0625, 0.5, 0.4375)  # adds to 1 in every type


def targets(pair: Pair) -> tuple[float, ...]:
    """At the ends and inside."""
    if pair.target.ends_only:
        return (-1.0, 1.0)
    match pair.target.low, pair.target.high:
        case 0.0, 1.0 if not pair.target.low_closed:
            return (2.0**-20, 0.25, 0.875)
        case 0.0, 1.0:
            return (0.0, 1.0, 0.25, 0.875)
        case 0.0, _:
            return (0.0, 1.0, 7.0) if pair.target.low_closed else (2.0**-10, 0.75, 4.0)
    return (0.0, 1.0, -1.0, 0.3125, 12.5)


def row_targets(classes: int) -> tuple[tuple[float, ...], ...]:
    """Every class, and probabilities."""
    spread = {2: (0.375, 0.625), 3: SHARES, 4: (0.125, 0.375, 0.4375, 0.0625)}[classes]
    return (*(tuple(float(j == t) for j in range(classes)) for t in range(classes)), spread)


WHOLE_ROWS = (  # where nothing is at a kink
    (1.0, -2.25, 0.5),
    (0.25, 0.625),
    (0.375, 0.125, -0.1875),
    (0.75, 0.5, 0.25, 0.0),
    (-3.0, 17.0),
    (17.0, 0.25, 0.0),
    (0.0, 30.0, -2.0),
    (80.0, 0.0, 1.5, -7.0),
    (-100.0, 100.0, 0.5),
    (700.0, 700.25, -3.0),
)


def rows(pair: Pair):
    """Scores of rows, and targets for each: every class and, where the pair takes them, probabilities."""
    for z in WHOLE_ROWS if pair.written else ROWS:
        z = tuple(sorted(z, reverse=True)) if pair.activation.thresholds else z
        classes = len(z) + pair.activation.thresholds
        labels = [tuple(float(j == t) for j in range(classes)) for t in range(classes)]
        yield z, labels if pair.cost.labels_only else row_targets(classes)


def wanted(pair: Pair, y):
    """What each prediction ought to be: y, or between classes in order whether the truth lies above."""
    return [mp.mpf(list(y).index(1.0) > j) for j in range(len(y) - 1)] if pair.activation.thresholds else y
