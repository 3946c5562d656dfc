"""Proof for every pair in the catalogue: its δ and curvature are the derivatives of its value, and its claims hold."""

import itertools

import numpy as np
import pytest
import sympy
from mpmath import mp

import costlayer as cl
import truth
from costlayer.engines import reference
from costlayer.pair import REALS
from costlayer.pairs import softplus_log

ZERO = "1e-110"  # what a central difference leaves of a derivative that is 0 by symmetry


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(truth.DIGITS):
        yield


def exact(pair, words, library):
    """The program, with its series and constants replaced by what they stand for (and are held to below)."""
    program = reference.bind(pair, words)
    space = program.terms.__globals__
    space |= {name: meant for name, meant in stands_for(words, library).items() if name in space}
    return program


def stands_for(words, library):
    """By the names that lowering gives them, in mpmath or SymPy."""
    exp, log1p, root = words["exp"], words["log1p"], library.sqrt
    erfc = truth.erfc if library is mp else library.erfc
    return {
        "softplus_log_rest": lambda e: log1p(e) / e - 1,
        "cloglog_cross_entropy_short": lambda u: (exp(-u) - 1 + u) / u**2,
        "distributions_pi": lambda: +library.pi,
        "distributions_root_two_pi": lambda: root(2 * library.pi),
        "distributions_arctan_over": lambda x: library.atan(x) / x,
        "distributions_excess": lambda t: root(2 / library.pi) * exp(-t * t / 2) / erfc(t / root(2)) - t,
    }


def test_the_series_is_what_it_stands_for():
    for e in np.concatenate([np.linspace(0.0, 1.0, 257)[1:], 2.0 ** -np.arange(9.0, 1074.0, 12.5)]):
        right = mp.log1p(mp.mpf(e)) / mp.mpf(e) - 1
        truth.close(softplus_log.rest(e), right, right, np.float64, ulps=2, what=f"e = {e}", steps=1)


def numbers(parameters):
    return [mp.mpf(parameter) for parameter in parameters]


def points(pair):
    for y in truth.targets(pair):
        for z in truth.SCORES:
            if truth.smooth(pair, z, y):
                yield z, y


def rows(pair):
    for z, goals in truth.rows(pair):
        for y in goals:
            yield z, y


def assert_same(got, expected, where, tolerance="1e-100", nothing="1e-860"):
    if abs(got) < mp.mpf("1e-900"):  # nothing, of which a central difference leaves a little
        nothing = ZERO
    same = abs(got - expected) <= mp.mpf(tolerance) * abs(expected) + mp.mpf(nothing)
    assert same, f"{where}: {mp.nstr(got, 20)}, expected {mp.nstr(expected, 20)}"


def test_pointwise_program_gives_the_derivatives_of_the_value(pointwise_pair):
    pair = pointwise_pair
    program = exact(pair, truth.WORDS, mp)
    for z, y in points(pair):
        found = program.terms(mp.mpf(z), mp.mpf(y), *numbers(pair.values))
        for got, expected, what in zip(found, truth.pointwise(pair, z, y), ("value", "δ", "curvature"), strict=True):
            assert_same(got, expected, f"{what} at z = {z}, y = {y}")


@pytest.mark.parametrize("loop", ["softmax_rows", "margin_rows", "written_rows"])
def test_row_program_gives_the_derivatives_of_the_value(row_pair, loop):
    """The whole Jacobian of softmax, and the diagonal of the Hessian, by a class index and by probabilities."""
    pair = row_pair
    run = getattr(reference.bind(pair, truth.WORDS), loop, None)
    if run is None:
        needed = pair.written, pair.written or not (pair.closed and pair.closed.margin), not pair.written
        assert needed[["softmax_rows", "margin_rows", "written_rows"].index(loop)]
        return
    one, zero = mp.mpf(1), mp.mpf(0)
    for z, y in rows(pair):
        scores, goals = np.array([[mp.mpf(x) for x in z]]), np.array([[mp.mpf(x) for x in y]])
        value, delta, curvature = np.empty(1, object), np.empty((1, len(z)), object), np.empty((1, len(z)), object)
        ways = [(None, goals)] if loop != "margin_rows" and not pair.cost.labels_only else []
        if max(y) == 1.0:
            ways.append((np.array([y.index(1.0)]), None))
        for label, given in ways:
            outputs = (value, delta, curvature, 0, 1, tuple(numbers(pair.values)))
            if loop == "written_rows":
                label, given = (label, goals[:0]) if given is None else (np.zeros(0, int), given)
                rest = np.array([one]), one, len(y), zero, one
                room = np.empty(5 * len(z), object)
                total, bad = run(scores, label, given, one, zero, *rest, *outputs, None, room)
            elif loop == "softmax_rows":
                total, bad = run(scores, label, given, one, zero, None, None, one, zero, one, *outputs)
            else:
                total, bad = run(scores, label, None, one, *outputs)
            assert bad == -1
            expected, slopes, curves = truth.row(pair, z, y)
            where = f"z = {z}, y = {y}"
            assert_same(total, expected, where)
            assert_same(value[0], expected, where)
            for j in range(len(z)):
                assert_same(delta[0, j], slopes[j], f"δ_{j} at {where}", nothing=ZERO)
                assert_same(curvature[0, j], curves[j], f"curvature_{j} at {where}", nothing=ZERO)


def test_printed_formulas_are_the_pair(pair):
    """The formula and the derivative that people read, in the notation of costlayer.formula."""
    if not pair.row:
        for z, y in points(pair):
            names = truth.names(pair, mp.mpf(z), mp.mpf(y))
            value, delta, _ = truth.pointwise(pair, z, y)
            assert_same(truth.formula(pair._formula(), **names), value, f"value at z = {z}, y = {y}")
            assert_same(truth.formula(pair._derivative(), **names), delta, f"δ at z = {z}, y = {y}")
        return
    for z, y in rows(pair):
        scores = numbers(z)
        names = truth.names_of(pair, scores, numbers(y))
        value, slopes, _ = truth.row(pair, z, y)
        assert_same(truth.formula(pair._formula(), **names), value, f"value at z = {z}, y = {y}")
        for j, slope in enumerate(slopes):
            assert_same(
                truth.formula(pair._derivative(), j=j, **names), slope, f"δ_{j} at z = {z}, y = {y}", nothing=ZERO
            )


def test_closed_form_equals_the_composition(pointwise_pair):
    """The chain rule of activation and cost, against what the pair says of itself."""
    pair = pointwise_pair
    program = exact(pair, truth.WORDS, mp)
    for z, y in points(pair):
        v, gain, bend = program.activation(mp.mpf(z), *numbers(pair.activation_values))
        if v == pair.range.high:  # in 1000 digits, of which the composition has none left
            continue
        cost, slope, curve = program.cost(v, mp.mpf(y), *numbers(pair.cost_values))
        found = program.terms(mp.mpf(z), mp.mpf(y), *numbers(pair.values))
        for got, expected in zip(found, (cost, gain * slope, gain * gain * curve + bend * slope), strict=True):
            assert_same(got, expected, f"z = {z}, y = {y}")


class Branch:
    """SymPy's functions as an engine's words, on the branch where a point lies: what is traced has no cases."""

    def __init__(self, point):
        self.point = point

    def holds(self, condition):
        return bool(condition.subs(self.point)) if isinstance(condition, sympy.Basic) else bool(condition)

    def words(self):
        def where(condition, a, b):
            return a if self.holds(condition) else b

        def real(x):
            return sympy.nsimplify(sympy.Float(x), rational=True) if isinstance(x, float) else sympy.sympify(x)

        return {
            "absolute": lambda x: where(sympy.sympify(x) >= 0, x, -x),
            "double": real,
            "exp": sympy.exp,
            "expm1": lambda x: sympy.exp(x) - 1,
            "log": sympy.log,
            "log1p": lambda x: sympy.log(1 + x),
            "log1p_unit": lambda x: sympy.log(1 + x),
            "maximum": lambda a, b: where(sympy.sympify(a) >= b, a, b),
            "minimum": lambda a, b: where(sympy.sympify(a) <= b, a, b),
            "real": real,
            "sqrt": sympy.sqrt,
            "sign": lambda x: where(sympy.sympify(x) > 0, 1, -1),
            "tanh": lambda x: (sympy.exp(2 * x) - 1) / (sympy.exp(2 * x) + 1),
            "where": where,
        }


@pytest.mark.parametrize("score", [-2.25, 0.625, 3.125])
def test_sympy_derives_delta_and_curvature_from_the_value(pointwise_pair, score):
    """Traced on the branches on which a few points lie, the differences are nothing, whatever z, y and parameters."""
    pair = pointwise_pair
    z, y = sympy.symbols("z y", real=True)
    parameters = [sympy.Symbol(name, positive=True) for name in pair.parameters]
    t = sympy.Symbol("t", positive=True)
    seen = []
    for goal in map(sympy.nsimplify, truth.targets(pair)):
        point = {z: score, y: goal, **dict(zip(parameters, pair.values, strict=True))}
        program = exact(pair, Branch(point).words(), sympy)
        value, delta, curvature = map(sympy.sympify, program.terms(z, y, *parameters))
        if (value, delta, curvature) in seen and not pair.target.ends_only:
            continue  # the same branches
        seen.append((value, delta, curvature))
        for whole, part in ((value, delta), (delta, curvature)):
            difference = (sympy.diff(whole, z) - part).subs(z, sympy.log(t))
            if pair.target.ends_only:
                difference = difference.subs(y, goal)
            assert sympy.simplify(difference) == 0, (goal, whole, part)


def test_a_convex_pair_never_bends_down(pair):
    if not pair.convex:
        return
    if pair.row:
        for z, y in rows(pair):
            assert_positive_semidefinite(hessian(pair, z, y))
        return
    hair = mp.mpf("1e-100")  # what is left of the digits of a difference
    assert all(truth.pointwise(pair, z, y)[2] >= -hair for z, y in points(pair))
    for y in truth.targets(pair):  # across the kinks: δ never falls
        slopes = [truth.pointwise(pair, z, y)[1] for z in sorted(truth.SCORES) if truth.smooth(pair, z, y)]
        assert all(left <= right + hair for left, right in itertools.pairwise(slopes))


def test_a_pair_that_bends_down_somewhere_is_not_called_convex(pair):
    if pair.convex:
        return
    if pair.row:
        assert any(truth.row(pair, z, y)[2][j] < -1e-3 for z, y in [*rows(pair), *wrong_rows()] for j in range(len(z)))
    else:
        slopes = [
            [truth.pointwise(pair, z, y)[1] for z in sorted(truth.SCORES) if truth.smooth(pair, z, y)]
            for y in (*truth.targets(pair), *([3.5] if pair.target == REALS else []))
        ]
        assert any(left > right for line in slopes for left, right in itertools.pairwise(line))


def wrong_rows():
    return [((2.0, -1.0), (0.0, 1.0)), ((4.0, 0.0, 1.0), (0.0, 1.0, 0.0))]


def hessian(pair, z, y):
    """The full second derivative of a row's value, by central differences."""
    h, z, y = mp.mpf(truth.STEP), numbers(z), numbers(y)

    def at(j, k, a, b):
        moved = list(z)
        moved[j] += a * h
        moved[k] += b * h
        return truth.composed(pair, moved, y)

    size = range(len(z))
    with mp.workdps(300):
        entries = {
            (j, k): (at(j, k, 1, 1) - at(j, k, 1, -1) - at(j, k, -1, 1) + at(j, k, -1, -1)) / (4 * h * h)
            for j in size
            for k in size
            if k <= j
        }
    return mp.matrix([[entries[max(j, k), min(j, k)] for k in size] for j in size])


def assert_positive_semidefinite(matrix):
    """By Cholesky's factors, which there are only if all eigenvalues are positive: of −1e-40 and more, as shifted."""
    with mp.workdps(60):
        mp.cholesky(matrix.apply(lambda x: +x) + mp.mpf("1e-40") * mp.eye(matrix.rows))


def test_canonical_means_that_delta_is_the_error_times_a_constant(pair):
    """Claimed where it holds, and nowhere else."""
    ratios = set()
    if pair.row:
        for z, y in rows(pair):
            v, (_, slopes, _) = truth.predict(pair, numbers(z)), truth.row(pair, z, y)
            goals = truth.wanted(pair, y)
            ratios |= {mp.nstr(s / (p - mp.mpf(g)), 30) for s, p, g in zip(slopes, v, goals, strict=True) if p != g}
    else:
        for z, y in points(pair):
            error = truth.predict(pair, mp.mpf(z)) - mp.mpf(y)
            if error:
                ratios.add(mp.nstr(truth.pointwise(pair, z, y)[1] / error, 30))
    assert ratios == {mp.nstr(mp.mpf(pair.canonical), 30)} if pair.canonical else len(ratios) > 1


def test_a_steady_pair_never_answers_a_larger_error_with_a_smaller_delta(pair):
    """On either side of the target, the further the prediction the larger |δ|."""
    lines = []
    if pair.row:
        between = pair.activation.thresholds
        for others in ((), (-900.0,)) if between else ((0.0,), (3.0, 0.5)):
            y = (1.0, *(0.0 for _ in others))
            y = (0.0, *y) if between else y
            lines.append([abs(truth.row(pair, (score, *others), y)[1][0]) for score in sorted(truth.SCORES)[::-3]])
    else:
        for y in truth.targets(pair):
            sides = {1: [], -1: []}
            for z in sorted(truth.SCORES):
                if truth.smooth(pair, z, y):
                    error = truth.predict(pair, mp.mpf(z)) - mp.mpf(y)
                    side = mp.sign(error) if not pair.target.ends_only else -int(y)
                    if side:
                        sides[int(side)].append(abs(truth.pointwise(pair, z, y)[1]))
            lines += [sides[1], sides[-1][::-1]]
    # a hair of room, where |δ| has reached its limit and all digits agree
    hair = mp.mpf("1e-900")  # and where it is 0
    shrinks = any(
        right + hair < left * (1 - mp.mpf("1e-100")) for line in lines for left, right in itertools.pairwise(line)
    )
    assert pair.steady != shrinks


def test_starving_is_claimed_where_delta_vanishes_at_a_wrong_score_and_nowhere_else(pair):
    """At a score of ±50, where the output is wrong by half or more, next to none of the error is left in δ."""
    lets_go = pair.activation.name == "identity" and not pair.steady
    if lets_go or str(pair) in ("exp+inverse_gaussian", "sigmoid+asymmetric"):
        return  # it is the cost that lets go of what is far off, and it says so

    def share(z, y):
        if pair.row:
            v, delta = truth.predict(pair, numbers(z)), truth.row(pair, z, y)[1]
            goals = truth.wanted(pair, y)
            return max(map(abs, delta)) / max(abs(p - mp.mpf(goal)) for p, goal in zip(v, goals, strict=True))
        error = abs(truth.predict(pair, mp.mpf(z)) - mp.mpf(y))
        if error < 0.5 or (pair.target.ends_only and z * y > 0):
            return mp.inf
        return abs(truth.pointwise(pair, z, y)[1]) / min(1, error)

    if pair.row:
        scores, goal = ((50.0,), (1.0, 0.0)) if pair.activation.thresholds else ((50.0, 0.0, 0.0), (0.0, 1.0, 0.0))
        found = [share(scores, goal)]
    else:
        found = [share(z, y) for z in (-50.0, 50.0) for y in truth.targets(pair)]
    assert (min(found) < 1e-6) == pair.starves


def test_the_warning_gives_the_gain_of_the_starving_activation(pair):
    from costlayer.catalogue import starvation

    if not pair.starves:
        return
    z = pair.activation.flat[-1]
    if pair.row:
        gain = truth.differences(lambda score: truth.predict(pair, [score, mp.mpf(0)])[0], mp.mpf(z))[1]
    else:
        gain = truth.differences(lambda score: truth.predict(pair, score), mp.mpf(z))[1]
    assert f" is {float(gain):.3g}. " in starvation(pair)


def test_softmax_turns_equal_scores_into_equal_shares():
    for pair in cl.pairs():
        if pair.activation.name == "softmax":
            assert cl.predict(pair, np.ones((1, 4))).tolist() == [[0.25] * 4]
