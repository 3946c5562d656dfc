"""From a pair to the text of a program."""

import ast
import importlib.util
import sys

import pytest

import costlayer as cl
from costlayer import words
from costlayer.activations import ACTIVATIONS
from costlayer.catalogue import build
from costlayer.engines import kernels, lower
from costlayer.errors import InvalidValue
from costlayer.pair import Pair
from covering import every_pair


@every_pair
def test_the_program_stands_by_itself(pair):
    """Every name in it is a word, a definition of its own, an argument or a local."""
    tree = ast.parse(lower.program(pair))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    defined |= {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
    brought = {name for name, value in vars(kernels).items() if value is None}  # by the engine
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        local = {
            node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        local |= {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
        used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        assert used <= local | defined | brought | set(words.VOCABULARY) | {"range"}, function.name


@every_pair
def test_every_float_literal_is_typed_by_the_engine(pair):
    tree = ast.parse(lower.program(pair))
    typed = {
        id(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("real", "double")
    }
    floats = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)]
    assert floats
    for node in floats:
        assert id(node) in typed


@every_pair
def test_formulas_branch_by_where_alone(pair):
    """No ternary and no `if` in a formula: compilers would not vectorise it. What has loops may."""
    loops = {loop.__name__ for loop in lower.loops(pair)} | {"clear", "target"}
    for function in ast.parse(lower.program(pair)).body:
        if isinstance(function, ast.FunctionDef) and not (
            function.name in loops
            or function.name.startswith("kernels_")
            or any(isinstance(node, ast.For) for node in ast.walk(function))
        ):
            assert not any(isinstance(node, (ast.If, ast.IfExp, ast.BoolOp)) for node in ast.walk(function)), (
                function.name
            )


def test_the_program_is_the_same_for_all_parameters():
    assert lower.program(cl.pair("identity+huber", delta=3.0)) == lower.program(cl.pair("identity+huber"))


@every_pair
def test_the_program_is_the_same_in_every_process(pair):
    assert lower.program(pair) == lower.program.__wrapped__(pair)


def module(tmp_path, source, name="formula_of_ones_own"):
    path = tmp_path / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded, path


COST = """
from costlayer.pair import REALS, Cost
from costlayer.words import absolute as size

def helper(x):
    return size(x) * 3.0

def terms(v, y):
    "A docstring."
    return helper(v - y), 3.0 + 0.0 * v, 0.0 * v

OWN = Cost(__name__, "s", REALS, REALS, "v", "1", terms, "identity+mse", "l", "r")
"""


def test_helpers_are_inlined_and_words_may_have_other_names(tmp_path):
    own, _ = module(tmp_path, COST)
    text = lower.program(Pair(ACTIVATIONS["identity"], own.OWN))
    assert "def formula_of_ones_own_helper(x):\n    return absolute(x) * real(3.0)" in text
    assert "A docstring" not in text


@pytest.mark.parametrize("change", ["moved", "altered"])
def test_a_source_that_changed_since_it_was_imported_is_not_taken_for_the_function(tmp_path, change):
    """The lines of a function are found by number: in a file edited since, they may be another function's."""
    own, path = module(tmp_path, COST, f"formula_that_{change}")
    if change == "moved":
        path.write_text(COST.replace("def helper", "def another(x):\n    return x * 100.0\n\n\ndef helper"))
    else:
        path.write_text(COST.replace("* 3.0", "* 100.0"))
    try:
        text = lower.program(Pair(ACTIVATIONS["identity"], own.OWN))
    except InvalidValue as error:
        assert "chang" in str(error)  # noqa: PT017
    else:
        assert "return absolute(x) * real(3.0)" in text
        assert "100.0" not in text


def test_a_function_without_source_is_refused():
    space = {}
    exec("def terms(v, y):\n    return v, v, v", space)
    from dataclasses import replace

    cost = replace(build("identity+mse", {}).cost, name="nowhere", terms=space["terms"])
    with pytest.raises(InvalidValue, match="Move it into a module"):
        lower.program(Pair(ACTIVATIONS["tanh"], cost))
