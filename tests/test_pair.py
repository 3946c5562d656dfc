"""Pairs by name: what there is, what is refused and why, what is warned of."""

import copy
import math
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

import costlayer as cl
from costlayer.activations import ACTIVATIONS
from costlayer.catalogue import ALIASES, build
from costlayer.costs import COSTS
from costlayer.errors import InvalidType, InvalidValue, SaturationWarning
from costlayer.pair import NON_NEGATIVE, POSITIVE, REALS, SIGNS, UNIT, Interval, Pair
from covering import every_pair

NAMES = {str(pair) for pair in cl.pairs()}
REFUSED = [
    f"{activation}+{cost}"
    for activation in ACTIVATIONS
    for cost in COSTS
    if f"{activation}+{cost}" not in NAMES
    and f"{activation}+{cost}" not in ALIASES
    and (not COSTS[cost].listed or (COSTS[cost].rows_only and activation != "softmax"))  # others are made by name
    and not (ACTIVATIONS[activation].listed and f"sigmoid+{cost}" in NAMES)
]


def test_the_catalogue():
    pointwise = ["identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "exp"]
    expected = {f"{activation}+{cost}" for activation in [*pointwise, "softmax"] for cost in ("mse", "mae", "huber")}
    links = ("sigmoid", "probit", "cloglog", "cauchit")
    expected |= {f"{link}+cross_entropy" for link in links}
    expected |= {"softmax+cross_entropy", "softmax+binary_cross_entropy"}
    expected |= {f"{activation}+hinge" for activation in ("identity", "tanh", "leaky_relu", "elu")}
    expected |= {f"{activation}+{cost}" for activation in ("exp", "softplus") for cost in ("poisson", "gamma")}
    costs = {name.partition("+")[2] for name in expected}  # others may have been added since
    assert expected == {name for name in NAMES if name.partition("+")[2] in costs}
    assert len(cl.pairs()) == len(NAMES)


def test_links_that_the_catalogue_shows_with_one_cost_take_others_by_name():
    pair = build("probit+mse", {})
    assert pair.starves
    assert "probit+cross_entropy" in pair.instead
    assert str(pair) not in NAMES
    assert str(build("cloglog+binary_cross_entropy", {})) == "cloglog+cross_entropy"


def test_a_cost_may_mean_another_one_behind_a_softmax():
    """One class of several there, a yes or no elsewhere; the names are those that people know."""
    row, one = build("softmax+focal", {}), build("sigmoid+focal", {})
    assert (list(row.parameters), list(one.parameters)) == (["gamma"], ["gamma", "alpha"])
    assert build("probit+focal", {"alpha": 0.5}).cost is one.cost
    with pytest.raises(InvalidValue, match=r"sigmoid\+focal"):
        build("identity+focal", {})


def test_claims():
    assert {str(p): p.canonical for p in cl.pairs() if p.canonical} == {
        "identity+mse": 2.0,
        "sigmoid+cross_entropy": 1.0,
        "softmax+cross_entropy": 1.0,
        "softmax+kl": 1.0,
        "exp+poisson": 1.0,
        "sparsemax+fenchel_young": 1.0,
        "entmax15+fenchel_young": 1.0,
        "ordinal+coral": 1.0,
    }
    assert {"sigmoid+mse", "tanh+mse", "softmax+mse"} <= {str(p) for p in cl.pairs() if p.starves}
    assert not any(p.starves for p in cl.pairs() if p.canonical or p.activation.name in ("identity", "leaky_relu"))


# Refusals


@pytest.mark.parametrize("name", REFUSED)
def test_a_combination_that_does_not_fit_is_refused_with_the_pair_to_use_instead(name):
    with pytest.raises(InvalidValue) as caught:
        build(name, {})
    error, (activation, cost) = caught.value, name.split("+")
    assert name in str(error)
    assert COSTS[cost].rows_only or str(
        ACTIVATIONS[activation].range(1.0) if callable(ACTIVATIONS[activation].range) else ACTIVATIONS[activation].range
    ) in str(error)
    assert COSTS[cost].rows_only or str(COSTS[cost].domain) in str(error) or str(COSTS[cost].target) in str(error)
    instead = re.findall(r"\w+\+\w+", error.fix)
    assert instead
    for other in instead:
        assert other != name
        assert not build(other, {}).starves


@every_pair
def test_every_warning_names_a_pair_that_exists_and_does_not_starve(pair):
    instead = re.findall(r"\w+\+\w+", pair.instead if hasattr(pair, "instead") else pair.activation.instead)
    assert bool(instead) == pair.starves
    for other in instead:
        assert not build(other, {}).starves


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("sigmoid+cros_entropy", "'cross_entropy'"),
        ("sigmoid+log_liklihood", "'log_likelihood'"),
        ("sigmoi+mse", "'sigmoid'"),
        ("sofmax+mse", "'softmax'"),
        ("leakyrelu+mse", "'leaky_relu'"),
        ("sigmoid-cross_entropy", "'sigmoid+cross_entropy'"),
        ("sigmoid+cross_entropy+mse", "'sigmoid+cross_entropy'"),
        ("Sigmoid+MSE", "'sigmoid'"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, suggested):
    with pytest.raises(InvalidValue, match=re.escape(f"Did you mean {suggested}")):
        cl.pair(name)


@pytest.mark.parametrize("name", ["", "+", "mse", "+mse", "identity+", "xyz+mse", "identity+xyz"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(InvalidValue, match=r"^pair: got"):
        cl.pair(name)


@pytest.mark.parametrize("name", [None, 3, ("identity", "mse"), b"identity+mse"])
def test_a_name_of_another_type_is_refused(name):
    with pytest.raises(InvalidType, match=r"^pair: got"):
        cl.pair(name)


@pytest.mark.parametrize("delta", [0, -1.0, math.nan, math.inf, -math.inf])
def test_a_parameter_outside_its_interval_is_refused(delta):
    with pytest.raises(InvalidValue, match=r"^delta: got .*; expected a number in \(0, ∞\)"):
        cl.pair("identity+huber", delta=delta)


@pytest.mark.parametrize("delta", ["1", None, True, [1.0], np.array([1.0]), 1j])
def test_a_parameter_of_another_type_is_refused(delta):
    with pytest.raises(InvalidType, match=r"^delta: got .*; expected a number"):
        cl.pair("identity+huber", delta=delta)


def test_an_unknown_parameter_suggests_the_nearest():
    with pytest.raises(InvalidValue, match=r"Did you mean 'delta'\?"):
        cl.pair("identity+huber", dleta=1.0)
    with pytest.raises(InvalidValue, match=r"identity\+mse takes no parameters"):
        cl.pair("identity+mse", delta=1.0)


def test_parameters_are_floats_in_the_order_of_the_formula():
    pair = build("leaky_relu+huber", {"delta": np.float32(0.5), "slope": 1})
    assert dict(pair.parameters) == {"slope": 1.0, "delta": 0.5}
    assert pair.values == (1.0, 0.5)
    assert (pair.activation_values, pair.cost_values) == ((1.0,), (0.5,))
    assert all(type(value) is float for value in pair.values)


def test_a_parameter_that_takes_the_targets_out_of_reach_is_refused():
    assert cl.pair("leaky_relu+hinge").range == REALS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaturationWarning)
        with pytest.raises(InvalidValue, match=r"elu\+hinge"):
            cl.pair("elu+hinge", alpha=0.5)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("sigmoid+binary_cross_entropy", "sigmoid+cross_entropy"),
        ("sigmoid+log_likelihood", "sigmoid+cross_entropy"),
        ("softmax+log_likelihood", "softmax+cross_entropy"),
        (" softmax + cross_entropy ", "softmax+cross_entropy"),
    ],
)
def test_aliases(alias, name):
    assert cl.pair(alias) == cl.pair(name)
    assert str(cl.pair(alias)) == name


def test_identity_with_log_likelihood_is_refused_as_cross_entropy_is():
    with pytest.raises(InvalidValue, match=r"softmax\+cross_entropy"):
        cl.pair("identity+log_likelihood")


# What a pair is


@every_pair
def test_a_pair_is_frozen(pair):
    with pytest.raises(AttributeError):
        pair.cost = COSTS["mse"]
    with pytest.raises(TypeError):
        pair.parameters["delta"] = 2.0
    with pytest.raises(AttributeError):
        pair.activation.name = "other"


@every_pair
def test_a_pair_survives_pickle_and_copies(pair):
    assert {pickle.loads(pickle.dumps(pair)), copy.copy(pair), copy.deepcopy(pair)} == {pair}
    assert copy.deepcopy(pair).closed is pair.closed


def test_pairs_are_equal_by_name_and_parameters():
    assert cl.pair("identity+huber") == cl.pair("identity+huber", delta=1)
    assert cl.pair("identity+huber") != cl.pair("identity+huber", delta=2)
    assert cl.pair("identity+huber") != "identity+huber"
    assert pickle.loads(pickle.dumps(cl.pair("identity+huber", delta=2))).values == (2.0,)
    assert len({cl.pair("identity+huber"), cl.pair("identity+huber", delta=1.0)}) == 1


def test_a_pair_is_taken_as_it_is_and_may_be_changed():
    pair = cl.pair("identity+huber", delta=2.0)
    assert cl.pair(pair) is pair
    assert cl.pair(pair, delta=3.0).values == (3.0,)


@every_pair
def test_repr_makes_the_pair_again(pair):
    namespace = {"pair": lambda name, **parameters: build(name, parameters)}
    assert eval(repr(pair), namespace) == pair


@every_pair
def test_everything_about_a_pair_is_said(pair):
    text = pair.describe()
    for part in (
        pair.name,
        pair.summary,
        pair.formula,
        pair.derivative,
        pair.formula_latex,
        pair.limits,
        pair.reference,
    ):
        assert part
        assert part in text
    assert pair.summary.endswith(".")
    assert re.search(r"\d{4}|chapter", pair.reference)
    assert ("canonical" in text) == bool(pair.canonical)
    assert ("starves" in text) == pair.starves
    assert str(pair.range) in text


# The warning

WARNS = """
import warnings, costlayer as cl
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(3):
        cl.pair("sigmoid+mse"); cl.value("sigmoid+mse", [0.0], [1.0])
    cl.pair("softmax+mse"); cl.pair("tanh+mse"); cl.pair("sigmoid+cross_entropy"); cl.pairs()
for warning in caught:
    print(warning.category.__name__, "|", warning.filename, warning.lineno, "|", warning.message)
"""


def test_a_starving_pair_is_warned_of_once_in_a_process():
    done = subprocess.run([sys.executable, "-c", WARNS], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split(" | ")[2].split()[0] for line in lines] == ["sigmoid+mse", "softmax+mse", "tanh+mse"]
    assert all(line.startswith("SaturationWarning") for line in lines)
    assert "wrong by 0.9933" in lines[0]
    assert "0.00665" in lines[0]
    assert "sigmoid+cross_entropy" in lines[0]


@pytest.mark.parametrize("call", ['cl.pair("sigmoid+mse")', 'cl.value("sigmoid+mse", [0.0], [1.0])'])
def test_the_warning_points_at_the_line_that_asked(call):
    script = f"import costlayer as cl\ndef mine():\n    {call}\n\nmine()\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "<string>:3: SaturationWarning" in done.stderr


# Intervals


@pytest.mark.parametrize(
    ("interval", "inside", "outside", "text"),
    [
        (UNIT, [0.0, 0.5, 1.0], [-1e-300, 1.0000001, math.nan, math.inf], "[0, 1]"),
        (POSITIVE, [5e-324, 1e308], [0.0, -1.0, math.inf, math.nan], "(0, ∞)"),
        (NON_NEGATIVE, [0.0, 1e308], [-5e-324, math.inf], "[0, ∞)"),
        (REALS, [-1e308, 0.0], [math.inf, -math.inf, math.nan], "(−∞, ∞)"),
        (SIGNS, [-1.0, 1.0], [0.0, 0.5, 2.0, math.nan], "{−1, 1}"),
    ],
)
def test_interval(interval, inside, outside, text):
    assert all(x in interval for x in inside)
    assert not any(x in interval for x in outside)
    assert str(interval) == text
    for dtype in (np.float32, np.float64):
        low, high = interval.bounds(dtype)
        assert low in interval
        assert high in interval
        if not interval.ends_only:
            with np.errstate(over="ignore"):
                assert np.nextafter(low, dtype(-np.inf)) not in interval
                assert np.nextafter(high, dtype(np.inf)) not in interval


def test_interval_covers():
    assert REALS.covers(UNIT)
    assert not UNIT.covers(REALS)
    assert UNIT.covers(UNIT)
    assert not POSITIVE.covers(NON_NEGATIVE)
    assert NON_NEGATIVE.covers(POSITIVE)
    assert Interval(-1, 1).covers(SIGNS)
    assert not Interval(-1, 1, high_closed=False).covers(SIGNS)
    assert not SIGNS.covers(UNIT)
    assert SIGNS.covers(SIGNS)
    assert Interval(0, 1, low_closed=False).closure() == UNIT


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (0.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_an_interval_has_its_ends_in_order(low, high):
    with pytest.raises(InvalidValue, match="low < high"):
        Interval(low, high)


def test_a_pair_is_checked_at_birth():
    with pytest.raises(InvalidValue):
        Pair(ACTIVATIONS["identity"], COSTS["gamma"])
