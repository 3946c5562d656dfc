"""The text that a compiler is given: formulas written out, and nothing that changes what they say."""

import ast

import numpy as np
import pytest

from costlayer.engines import cpu, lower
from costlayer.engines.inline import inline
from covering import every_pair

FORMULAS = """
def twice(x):
    x = x + x
    return x

def both(a, b):
    s = a + b
    return s, a - b

another = twice

def loop(out, x, parameters):
    for i in range(len(out)):
        s = x[i]
        p, q = both(twice(s), *parameters)
        s, t = both(s, p)
        if wide:
            out[i] = another(p) * q + s * t
        else:
            out[i] = 0.0
"""


def run(text, wide):
    names = {"wide": wide}
    exec(text, names)
    out = np.zeros(3)
    names["loop"](out, np.array([1.0, -2.5, 7.0]), (3.0,))
    return out.tolist()


@pytest.mark.parametrize("wide", [True, False])
def test_what_is_written_out_computes_the_same(wide):
    """Names that are taken, parameters written to, targets that are arguments too, another name for a formula."""
    text = inline(FORMULAS, {"wide": wide})
    assert run(text, wide=None) == run(FORMULAS, wide)
    functions = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert functions == ["loop"]
    assert "wide" not in text


def test_what_nobody_reads_is_left_out():
    assert "a - b" in FORMULAS
    text = inline(FORMULAS.replace("s, t = both", "r, t = both").replace("* q + s * t", "+ r"), {"wide": True})
    assert "-" not in text


def test_a_condition_that_is_looked_at_again_is_refused():
    with pytest.raises(AssertionError, match="again"):
        inline("def f(x):\n    y = x\n    return y\n\ndef loop(x):\n    while f(x + 1):\n        x = f(x)\n", {})


@every_pair
def test_a_compiled_module_calls_loops_and_instructions_only(pair):
    """No formula is left to be compiled by itself."""
    tree = ast.parse(cpu.text(pair, "float32"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    made = {node.name: ast.unparse(node.decorator_list[0]) for node in functions}
    assert "formula" not in made.values()
    assert {name for name, how in made.items() if how == "loop"} == {loop.__name__ for loop in lower.loops(pair)}


def test_helpers_may_be_called_by_name_or_with_nothing_and_locals_may_be_named_like_constants():
    text = """
def two():
    return 2.0

def kw(a, b):
    C__1 = real(0.5)
    return a - b * C__1

def loop(out):
    for i in range(len(out)):
        out[i] = kw(b=two(), a=out[i]) + kw(7.0, b=1.0)
"""
    found = []
    for version in (text, inline(text, {})):
        names = {"real": float}
        exec(version, names)
        out = np.array([1.0, -3.5])
        names["loop"](out)
        found.append(out.tolist())
    assert found[0] == found[1] == [6.5, 2.0]
