"""A user's own cost: what is made of it, and that what is wrong with it is found, with its line."""

import dataclasses
import inspect
import linecache
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp

import costlayer as cl
import own_costs
import truth
from costlayer import explain
from costlayer.costs import COSTS
from costlayer.errors import CostLayerError, InvalidType, InvalidValue
from costlayer.pair import POSITIVE, Interval, Parameter
from costlayer.register import check
from own_costs import CORNER, END, QUARTIC


def like(cost=QUARTIC, **changed):
    return dataclasses.replace(cost, **changed)


@pytest.mark.parametrize("name", [name for name in COSTS if COSTS[name].terms])  # those of a whole row have none
def test_the_costs_of_the_catalogue_would_be_let_in(name):
    check(COSTS[name])


@pytest.mark.parametrize("name", [name for name in COSTS if not COSTS[name].terms])
def test_costs_of_whole_rows_are_no_terms(name):
    with pytest.raises(InvalidValue, match=r"^cost: got a cost without terms"):
        cl.register(like(COSTS[name], name="another"))


def test_a_registered_cost_is_as_good_as_any():
    assert cl.register(QUARTIC) is QUARTIC
    pair = cl.pair("identity+quartic", scale=2.0)
    assert pair.cost is QUARTIC
    assert "identity+quartic" in map(str, cl.pairs())
    assert "sigmoid+quartic" in map(str, cl.pairs())
    z, y = np.array([3.0, -1.0, 0.5]), np.array([1.0, 0.0, 0.5])
    value, delta = cl.value_and_delta(pair, z, y, reduction="none")
    np.testing.assert_allclose(value, [1.0, 1 / 16, 0.0])
    np.testing.assert_allclose(delta, [2.0, -0.25, 0.0])  # 4 (e/2)³ / 2
    with mp.workdps(truth.DIGITS):
        for k in range(3):
            np.testing.assert_allclose(float(truth.pointwise(pair, z[k], y[k])[1]), delta[k], atol=1e-30)
    assert cl.constant(pair, np.array([0.0, 1.0])) == pytest.approx(0.5)
    assert "((z − y)/scale)⁴" in explain.text(pair)
    assert explain.png(pair).startswith(b"\x89PNG")
    with pytest.raises(InvalidValue, match=r"'scale'"):
        cl.pair("identity+quartic", scael=2.0)
    torch = pytest.importorskip("torch")
    from costlayer.torch import CostLayer

    layer = CostLayer("identity+quartic", scale=2.0, reduction="none")
    scores, goals = torch.tensor(z, requires_grad=True), torch.tensor(y)
    assert torch.autograd.gradcheck(lambda z: layer(z, goals), scores)
    assert torch.autograd.gradgradcheck(lambda z: layer(z, goals), scores)


def test_kinks_are_no_errors_and_the_last_word_may_be_changed():
    cl.register(CORNER)
    cl.register(CORNER)  # again
    cl.register(like(CORNER, summary="A better sentence."))  # as a cell that is run again
    assert cl.pair("identity+corner").summary == "A better sentence."
    cl.register(like(END, terms=own_costs.mended))
    cl.register(like(COSTS["poly1"], name="of_classes"))  # of one class of several
    known = set(map(str, cl.pairs()))
    assert {"sigmoid+end", "softmax+end", "softmax+of_classes"} <= known
    assert "sigmoid+of_classes" not in known


def test_what_was_refused_is_not_there():
    before = cl.pairs()
    with pytest.raises(CostLayerError):
        cl.register(like(terms=own_costs.slope_flipped))
    assert "quartic" not in COSTS
    assert cl.pairs() == before
    with pytest.raises(InvalidValue, match="a known cost"):
        cl.pair("identity+quartic")


# ---------------------------------------------------------------------------------------------- what is wrong


WRONG = {
    "builtin": ("`abs(v - y)`", "from costlayer.words import absolute"),
    "module": ("`math.exp(v)`", "from costlayer.words import exp"),
    "of_numpy": ("`np.tanh(size)`", "from costlayer.words import tanh"),
    "branch": ("`if v > y:`", "where(condition, a, b)"),
    "ternary": ("`v - y if v > y else y - v`", "where(condition, a, b)"),
    "chained": ("`0.0 < v < y`", "one comparison at a time"),
    "power": ("`error ** 4`", "exp(a * log(u))"),
    "whole": ("`2`", "Write 2.0."),
    "far_away": ("`LIMIT`", "make it a parameter"),
    "loop": ("`for _ in (1.0, 2.0):`", "straight lines"),
    "added": ("`v += y`", "assignments `name = ...`"),
    "negated": ("`not v`", "where(condition, a, b)"),
    "unknown": ("`sinh(v)`", "'tanh'?"),
    "by_helper": ("`max(scale, 1.0)`", "from costlayer.words import maximum"),
    "defaults": ("`def defaults(v, y, scale=1.0):`", "without defaults"),
    "few": ("few(v, y)", "few(v, y, scale)"),
    "renamed": ("renamed(v, y, width)", "renamed(v, y, scale)"),
    "two": ("`(square * square, square)`", "three numbers"),
    "slope_flipped": ("`-4.0 * square * error / scale`", "the derivative of the value, which is "),
    "curve_halved": ("`curve`", "the derivative of the slope, which is "),
    "scale_forgotten": ("`4.0 * square * error`", "the derivative of the value, which is "),
    "no_number": ("nan at v = ", "finite numbers inside the domain"),
}


def line_of(error):
    """The line that an error points at."""
    found = re.search(r'at File "(.*)", line (\d+)', error.got)
    assert found, error
    assert Path(found[1]).name == "own_costs.py"
    return linecache.getline(found[1], int(found[2]))


@pytest.mark.parametrize("name", WRONG)
def test_an_error_points_at_the_line(name):
    got, expected = WRONG[name]
    with pytest.raises(CostLayerError) as caught:
        cl.register(like(terms=getattr(own_costs, name)))
    error = caught.value
    assert error.argument == "terms"
    assert got in error.got
    assert expected in f"{error.expected} {error.fix}"
    assert "# here" in line_of(error)


def test_more_that_is_wrong_with_a_function():
    with pytest.raises(InvalidValue, match="stands by itself") as caught:
        cl.register(like(terms=own_costs.outer()))
    assert "# here" in line_of(caught.value)
    with pytest.raises(InvalidValue, match=r"nan at v = 0, y = .*ends of the domain") as caught:
        cl.register(END)
    assert "# here" in line_of(caught.value)
    with pytest.raises(InvalidType, match="a plain function"):
        cl.register(like(terms=np.exp))
    with pytest.raises(InvalidType, match="a plain function"):
        cl.register(like(terms=lambda v, y, scale: (v, v, v)))
    space = {}
    exec("def terms(v, y, scale):\n    return v, v, v", space)
    with pytest.raises(InvalidValue, match=r"source cannot be read; .*every engine is made from its source"):
        cl.register(like(terms=space["terms"]))


SAID = {
    "formula": ({"formula": "((v - y)/scale)**3"}, "what terms gives"),
    "derivative": ({"derivative": "4*((v - y)/scale)**3"}, "what terms gives"),
    "notation": ({"formula": "np.abs(v - y)"}, "the notation of costlayer.formula"),
    "broken": ({"formula": "(v - y"}, "the notation of costlayer.formula"),
    "named": ({"formula": "(x - y)**4"}, "v, y, the parameters"),
    "name": ({"name": "fourth power"}, "letters, digits and underscores"),
    "taken": ({"name": "mse"}, "not taken"),
    "activation": ({"name": "sigmoid"}, "not taken"),
    "alias": ({"name": "log_likelihood"}, "not taken"),
    "silent": ({"summary": ""}, "a text"),
    "interval": ({"domain": (0.0, 1.0)}, "a costlayer.Interval"),
    "nowhere": ({"domain": Interval(5.0, 6.0), "target": Interval(5.0, 6.0)}, "some activation's values"),
    "listed": ({"listed": ("identety",)}, "names of activations"),
    "parameter": ({"parameters": {"scale": 1.0}}, "a costlayer.pair.Parameter"),
    "parameter name": ({"parameters": {"alpha": Parameter(1.0, POSITIVE, "Elu's.")}}, "a name of its own"),
    "default": ({"parameters": {"scale": Parameter(-1.0, POSITIVE, "Negative.")}}, "a number in (0, ∞)"),
    "mean": ({"elicits_mean": True}, "a cost least at the mean"),
}


@pytest.mark.parametrize("case", SAID)
def test_what_a_cost_says_of_itself_is_checked(case):
    changed, expected = SAID[case]
    with pytest.raises(CostLayerError) as caught:
        cl.register(like(**changed))
    assert expected in caught.value.expected


def test_claims_are_checked():
    with pytest.raises(InvalidValue, match=r"^convex: got True, where the slope falls .*Say convex=False"):
        check(like(COSTS["cauchy"], convex=True))
    with pytest.raises(InvalidValue, match=r"^steady: got True, where \|slope\| .*Say steady=False"):
        check(like(COSTS["cauchy"], steady=True))
    with pytest.raises(InvalidValue):  # an error for a prediction
        check(like(COSTS["huber"], of_error=False))
    with pytest.raises(InvalidType, match=r"^cost: got 'quartic'"):
        cl.register("quartic")


def test_a_cost_of_two_predictions_is_checked_by_both():
    said = {
        "formula": "(1 + ((v - y)/s)**2)**0.5 + ln(s)",
        "derivative": "(v - y)/s**2/(1 + ((v - y)/s)**2)**0.5",
        "second_derivative": "(1 - ((v - y)/s)**2/(1 + ((v - y)/s)**2)**0.5)/s",
    }
    with pytest.raises(InvalidValue, match="the derivative, which is") as caught:
        check(like(COSTS["gaussian"], terms=own_costs.spread, **said))
    assert "# here" in line_of(caught.value)
    with pytest.raises(InvalidValue, match=r"^second_derivative: got '\(1 \+"):
        check(like(COSTS["gaussian"], second_derivative="(1 + ((v - y)/s)**2)/s"))
    with pytest.raises(InvalidValue, match=r"^terms: .*quartic\(error, s, log_s, f, g\)"):
        check(like(COSTS["gaussian"], terms=own_costs.quartic))
    with pytest.raises(InvalidValue, match="six numbers"):
        check(like(COSTS["gaussian"], terms=own_costs.of_five))


# ---------------------------------------------------------------------------------------------- other processes


def test_a_pair_of_ones_own_goes_to_other_processes(tmp_path):
    """With the cost itself, not by a name that nobody there has registered."""
    cl.register(QUARTIC)
    pair = cl.pair("identity+quartic", scale=2.0)
    again = pickle.loads(pickle.dumps(pair))
    assert again == pair
    (tmp_path / "pair").write_bytes(pickle.dumps(pair))
    script = (
        "import pickle, sys, pathlib\n"
        "pair = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "from costlayer.engines import reference\n"
        "print(pair, reference.terms(pair)(3.0, 1.0)[1])"
    )
    paths = os.pathsep.join([str(Path(inspect.getfile(own_costs)).parent), str(Path(cl.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "pair"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["identity+quartic", "2.0"], done.stderr


def round_and_round(v, y):
    return round_and_round(v, y)  # here


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"terms": round_and_round, "parameters": {}, "formula": "v", "derivative": "1"}, "come back to themselves"),
        ({"parameters": {"temperature": Parameter(1.0, Interval(0.0, 2.0), "x")}}, "'temperature'.*taken"),
        ({"parameters": {"scale": Parameter(3.0, Interval(0.0, 2.0), "x")}}, "scale: got 3.0"),
    ],
)
def test_what_could_never_be_called_is_refused(changed, match):
    with pytest.raises(InvalidValue, match=match):
        check(like(**changed))
