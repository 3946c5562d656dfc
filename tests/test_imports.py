"""Imports run one way, and importing costlayer loads nothing heavy."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import costlayer

SOURCE = Path(costlayer.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
HEAVY = {
    "torch",
    "numba",
    "llvmlite",
    "sklearn",
    "polars",
    "plotly",
    "rich",
    "typer",
    "sympy",
    "mpmath",
    "scipy",
    "xgboost",
    "lightgbm",
    "catboost",
    "jax",
    "optax",
}

# From the ground up; a part may import its own and those on lines above it.
LAYERS = [
    ["words", "errors", "formula"],
    ["pair", "files", "distributions"],
    ["costs", "pairs"],
    ["activations"],
    ["catalogue"],
    ["engines"],
    ["scores", "register"],
    ["evaluate"],
    ["numpy", "constant", "choose"],
    ["torch", "jax", "boosting"],
    ["sklearn", "keras"],
    ["warmup"],
    ["report"],
    ["explain"],
    ["study"],
    ["cli"],
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
# Inside a function, where a name must be looked up or a figure computed while it runs.
UPWARD = {
    ("pair", "catalogue"),  # unpickling looks the pair up by its name
    ("catalogue", "engines"),  # the warning's figure is computed
}


def imports(path):
    """The parts of costlayer that a file imports, and whether it does so when it is loaded itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            whole = node.module == "costlayer"
            names = [f"costlayer.{alias.name}" for alias in node.names] if whole else [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            yield name, id(node) not in inside


def part_of(path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path):
    part = part_of(path)
    if part in ("__init__", "__main__"):
        return
    assert part in LEVEL, f"say in LAYERS where {part} stands"
    for name, at_load in imports(path):
        pieces = name.split(".")
        if pieces[0] != "costlayer" or len(pieces) == 1 or pieces[1] not in LEVEL:
            continue
        other = pieces[1]
        allowed = LEVEL[other] < LEVEL[part] or other == part or (not at_load and (part, other) in UPWARD)
        assert allowed, f"{part} imports {other}"


def test_the_layers_name_what_is_there():
    assert {part_of(path) for path in FILES} - {"__init__", "__main__"} == set(LEVEL)


@pytest.mark.parametrize("path", [p for p in FILES if part_of(p) == "report"], ids=lambda path: path.name)
def test_the_report_reads_plain_records_only(path):
    allowed = {"costlayer.report", "costlayer.errors", "numpy", "plotly", "latex2mathml"} | set(sys.stdlib_module_names)
    for name, _ in imports(path):
        assert any(name == good or name.startswith(good + ".") for good in allowed), name


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if LEVEL.get(part_of(p), 99) < LEVEL["torch"] or part_of(p) == "__init__"],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_the_core_loads_nothing_heavy(path):
    for name, at_load in imports(path):
        assert not (at_load and name.split(".")[0] in HEAVY), name


def test_importing_costlayer_loads_neither_torch_nor_the_compiler():
    script = "import sys, json, costlayer; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout))


def test_the_torch_front_does_not_load_torchs_compiler():
    """It takes longer than torch itself, and most who train do not compile."""
    pytest.importorskip("torch")
    script = "import sys, costlayer.torch; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_public_names():
    calls = {"pair", "pairs", "value", "value_and_delta", "curvature", "predict", "constant", "choose", "register"}
    assert {*calls, "Activation", "Advice", "Cost", "Interval", "Pair", "Parameter"} <= set(vars(costlayer))
