"""Formulas as people read them."""

import ast
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costlayer import formula
from costlayer.formula import AND, FUNCTIONS, evaluate, indexed, latex, mentions, renamed, text, times
from covering import every_pair


@pytest.mark.parametrize(
    ("source", "plain", "tex"),
    [
        ("(v - y)**2", "(v − y)²", r"\left(v - y\right)^{2}"),
        ("2*(v - y)", "2·(v − y)", r"2 \, \left(v - y\right)"),
        ("-(y*ln(v) + (1 - y)*ln(1 - v))", "−(y·ln(v) + (1 − y)·ln(1 − v))", None),
        ("a - (b - c)", "a − (b − c)", "a - \\left(b - c\\right)"),
        ("a - b - c", "a − b − c", "a - b - c"),
        ("a/(b*c)", "a/(b·c)", r"\frac{a}{b \, c}"),
        ("a/b*c", "a/b·c", r"\frac{a}{b} \, c"),
        ("a*(-b)", "a·(−b)", r"a \, \left(-b\right)"),
        ("(-a)**2", "(−a)²", r"\left(-a\right)^{2}"),
        ("-a**2", "−a²", "-a^{2}"),
        ("2**(a + b)", "2^(a + b)", "2^{a + b}"),
        ("x**-2", "x^(−2)", "x^{-2}"),
        ("x**0.5", "x^0.5", "x^{0.5}"),
        ("exp(z)**2", "exp(z)²", r"\left(e^{z}\right)^{2}"),
        ("(a/b)**2", "(a/b)²", r"\left(\frac{a}{b}\right)^{2}"),
        ("exp(-z)", "exp(−z)", "e^{-z}"),
        ("abs(v - y)", "|v − y|", r"\left|v - y\right|"),
        ("sum(y[j]*ln(v[j]), j)", "Σ_j y_j·ln(v_j)", r"\sum_{j} y_{j} \, \ln\left(v_{j}\right)"),
        ("sum(a + b, k)", "Σ_k (a + b)", r"\sum_{k} \left(a + b\right)"),
        ("sum(a[k], k)*b[k]", "(Σ_k a_k)·b_k", r"\left(\sum_{k} a_{k}\right) \, b_{k}"),
        ("where(z > 0, z, alpha)", "{z if z > 0, else α}", None),
        ("max(-delta, v)", "max(−delta, v)", r"\max\left(-\mathrm{delta}, v\right)"),
        ("v == 1", "v = 1", "v = 1"),
        ("lngamma(df/2) - psi(b)", "lnΓ(df/2) − ψ(b)", None),
        ("lngamma(a)", "lnΓ(a)", r"\ln\Gamma\left(a\right)"),
        ("psi(a)", "ψ(a)", r"\psi\left(a\right)"),
        ("erf(z[0])/pi", "erf(z_0)/π", r"\frac{\mathrm{erf}\left(z_{0}\right)}{\pi}"),
        ("clip**gamma_neg", "clip^γ_neg", r"\mathrm{clip}^{\gamma_{\mathrm{neg}}}"),
        ("Phi(z)/pi", "Φ(z)/π", r"\frac{\Phi\left(z\right)}{\pi}"),
        ("arctan(z)", "arctan(z)", r"\arctan\left(z\right)"),
    ],
)
def test_printing(source, plain, tex):
    assert text(source) == plain
    if tex is not None:
        assert latex(source) == tex


def test_what_a_name_stands_for_is_said_after_it():
    assert text("v - y", "v == tanh(z)") == "v − y,  v = tanh(z)"
    assert latex("v - y", "v == tanh(z)") == r"v - y,\quad v = \tanh\left(z\right)"


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("(v - y)**2/4", 1.0),
        ("where(v > y, ln(y), ln(-y))", 0.0),  # of the side that holds alone
        ("where(v <= y, 1, 2)*sign(-v)", -2.0),
        ("max(v, y) + 10*min(v, y)", 13.0),
        ("abs(-v) + exp(0) + tanh(0)", 4.0),
        ("-y**2 + v*(y - v)/v", -3.0),
    ],
)
def test_evaluating(source, number):
    assert evaluate(source, v=3.0, y=1.0) == number


@pytest.mark.parametrize(
    ("x", "number"), [(1.0, -0.5772156649015329), (0.5, -1.9635100260214235), (12.5, 2.48519565127491)]
)
def test_psi(x, number):
    assert float(evaluate("psi(x)", x=x)) == pytest.approx(number, rel=1e-13)


def test_every_function_has_a_number_but_those_over_an_index():
    assert {*formula._NUMBERS, *formula._OVER, "where"} == set(FUNCTIONS)
    with pytest.raises(ValueError, match="not in the notation"):
        evaluate("sum(v, k)", v=1.0)
    with pytest.raises(ValueError, match="'w' is not"):
        evaluate("w + 1", v=1.0)


def test_several_names_are_said_one_after_the_other():
    assert text("v/s", AND.join(("v == z[0]", "s == exp(z[1])"))) == "v/s,  v = z_0,  s = exp(z_1)"


def test_a_factor_that_is_divided_out_is_not_written():
    assert times("(1 - w)/s", "s") == "1 - w"
    assert times("1 - w/s", "s") == "(1 - w/s)*(s)"
    assert times("s/w", "s") == "(s/w)*(s)"


def test_renaming_and_indexing():
    assert renamed("v*vv", "v", "z[0]") == "z[0] * vv"
    assert mentions("v - y", "v")
    assert not mentions("value - y", "v")
    assert renamed("(v - y)*vv", "v", "z") == "(z - y) * vv"
    assert indexed("delta*(v - y)", "j") == "delta * (v[j] - y[j])"


@pytest.mark.parametrize("source", ["a if b else c", "f(x)", "a @ b", "[a]", "a < b < c", "a and b", "'text'"])
def test_what_is_not_in_the_notation_is_refused(source):
    with pytest.raises(ValueError, match="not in the notation"):
        text(source)


def expressions():
    atoms = st.sampled_from(["a", "b", "2"])
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            inner.map(lambda x: f"(-{x})"),
            inner.map(lambda x: f"({x})**2"),
        ),
        max_leaves=7,
    )


@settings(deadline=None, max_examples=150, derandomize=True)
@given(expressions())
def test_plain_text_reads_back_as_the_same_number(source):
    """The brackets that are left out change nothing: read back, the text has the value of the source."""
    back = text(source).replace("−", "-").replace("·", "*").replace("²", "**2")
    names = {"a": 1.7, "b": -0.6}
    try:
        expected = eval(source, names)
    except ZeroDivisionError:
        return
    assert eval(back, names) == pytest.approx(expected, rel=1e-9)


@every_pair
def test_every_pair_prints_in_both_notations(pair):
    for drawn in (pair.formula_latex, pair.derivative_latex):
        assert drawn.count("{") == drawn.count("}")
        assert drawn.count(r"\left") == drawn.count(r"\right")
        assert not re.search(r"[−·²α]", drawn)
    for drawn in (pair.formula, pair.derivative):
        assert drawn.count("(") == drawn.count(")")
        assert "*" not in drawn
        assert "\\" not in drawn
    for source in (pair._formula(), pair._derivative()):
        called = {node.func.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}
        assert called <= set(FUNCTIONS)
