"""What the documents say is what the code does: the page of the pairs, its formulas, and every example."""

import doctest
import importlib
import importlib.util
import json
import math
import pkgutil
import re
import sys
from pathlib import Path

import latex2mathml.converter
import numpy as np
import pytest

import costlayer as cl
from covering import every_pair

DOCS = Path(__file__).parents[1] / "docs"
# The study and the command line run for long and write files; their own tests run them.
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(cl.__path__, "costlayer.")
    if not re.match(r"costlayer\.(study|cli|__main__)\b", m.name)
)


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("docs_make", DOCS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page():
    return (DOCS / "pairs.md").read_text(encoding="utf-8")


def test_page_is_what_the_catalogue_makes_now(make, page):
    assert page == make.pairs_page(), "docs/pairs.md is stale: run `make docs`"


def test_page_holds_every_pair_and_its_formulas(page):
    for pair in cl.pairs():
        section = re.search(rf"^### {re.escape(pair.name)}\n(.*?)(?=^### |\Z)", page, re.S | re.M)
        assert section, f"{pair} has no section"
        for part in (pair.summary, pair.formula_latex, pair.derivative_latex, pair.limits, pair.reference):
            assert part in section[1]


def test_each_pair_has_its_picture(make):
    image = pytest.importorskip("PIL.Image")
    assert set(make.SMALL.iterdir()) == {make.small(pair) for pair in cl.pairs()}
    for pair in cl.pairs():
        with image.open(make.small(pair)) as picture:
            assert picture.text["Comment"] == make.digest(pair), f"{pair} has another picture now: run `make docs`"


def test_links_lead_somewhere(page):
    headings = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", page, re.M)}
    links = re.findall(r"\]\(#([^)]*)\)", page)
    assert len(links) > len(cl.pairs())
    assert set(links) <= headings
    for file in re.findall(r"\]\((figures/[^)]*)\)", page):
        assert (DOCS / file).read_bytes().startswith(b"\x89PNG"), f"{file} is missing: run `make docs`"


def test_formulas_of_the_page_are_balanced_and_readable(page):
    blocks = re.findall(r"^```math\n(.*?)^```$", page, re.S | re.M)
    assert len(blocks) >= 2 * len(cl.pairs())
    for block in blocks:
        assert "<math" in latex2mathml.converter.convert(block)
        assert block.count(r"\left") - block.count(r"\leftarrow") == block.count(r"\right"), block


@every_pair
@pytest.mark.parametrize("which", ["formula_latex", "derivative_latex"])
def test_formulas_convert_to_mathml(pair, which):
    latex = getattr(pair, which)
    made = latex2mathml.converter.convert(latex)
    assert made.startswith("<math")
    assert "\\" not in made, f"{latex} left a command unread"


@pytest.mark.parametrize(
    ("name", "worked"),
    [
        ("sigmoid_gain_5", math.exp(-5) / (1 + math.exp(-5)) ** 2),
        ("sigmoid_v_5", 1 / (1 + math.exp(-5))),
        ("sigmoid_mse_5", 2 / (1 + math.exp(-5)) * math.exp(-5) / (1 + math.exp(-5)) ** 2),
        ("sigmoid_ce_5", 1 / (1 + math.exp(-5))),
        ("softmax_mse_5", 4 / (1 + math.exp(-5)) * math.exp(-5) / (1 + math.exp(-5)) ** 2),
        ("identity_mse_5", 10),
        ("example_value", math.log(1 + math.exp(-1) + math.exp(-2))),
        ("capped", math.e / (math.e + 9)),
        ("silent", 24 * math.log(2)),
    ],
)
def test_figures_equal_those_worked_by_hand(make, page, name, worked):
    printed = make.figures()[name]
    assert float(printed.replace("−", "-")) == pytest.approx(worked, rel=0.01)
    assert printed in page


def test_rows_equal_those_worked_by_hand(make, page):
    # p = (.665, .245, .090), class 0: the two readings of cross entropy behind a softmax
    assert make.figures()["example_p"] == "(0.665, 0.245, 0.090)"
    assert make.figures()["example_ce"] == "(−0.335, 0.245, 0.090)"
    assert make.figures()["example_bce"] == "(−0.616, 0.465, 0.151)"
    assert make.figures()["ones"] == "(0.25, 0.25, 0.25, 0.25)"


def _results(name):
    return json.loads((DOCS.parent / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def _times_as_fast(pair, shape, other):
    (seconds,) = (c["seconds"] for c in _results("pairs")["cases"] if c["pair"] == pair and c["shape"] == shape)
    return seconds[other] / seconds["ours"]


def _linear(of, whose="ours"):
    (case,) = (case for case in _results("linear")["cases"] if case["case"] == "float32")
    return case[of][whose]


def _units_of_sigmoid():
    found = _results("accuracy")["scalar"]
    entries = [found[f"sigmoid+cross_entropy: {what}, y = {y}"] for what in ("value", "δ") for y in (0, 1)]
    assert all(entry["inputs"] == 1 << 32 for entry in entries)
    return max(entry["worst"] for entry in entries)


def _units_of_softmax():
    return max(max(entry.values()) for entry in _results("accuracy")["classes"]["float32"]["costlayer"].values())


def _starved():
    table = (DOCS.parent / "benchmarks" / "results" / "study.md").read_text(encoding="utf-8")
    return float(re.search(r"^\| sigmoid\+mse \|.*\| ([\d.]+)% \|$", table, re.M)[1])


@pytest.mark.parametrize(
    ("sentence", "measured"),
    [
        (r"exp\+poisson on 2\^24 scores ([\d.]+) times as fast as torch eager",
         lambda: _times_as_fast("exp+poisson", [1 << 24], "eager")),
        (r"on 65,536 × 1,000 scores ([\d.]+) times as fast and",
         lambda: _times_as_fast("softmax+cross_entropy", [65536, 1000], "eager")),
        (r"as fast and ([\d.]+) times as fast as torch\.compile",
         lambda: _times_as_fast("softmax+cross_entropy", [65536, 1000], "compile")),
        (r"value and gradient of sigmoid\+cross_entropy are at most ([\d.]+) units in the last", _units_of_sigmoid),
        (r"classes those of softmax\+cross_entropy at most ([\d.]+) ", _units_of_softmax),
        (r"sigmoid\+mse starved ([\d.]+) % of the outputs", _starved),
        (r"extra memory \| ([\d.]+) MiB, and", lambda: _linear("mebibytes")),
        (r"MiB, and [\d.]+ times as fast \| ([\d.]+) MiB", lambda: _linear("mebibytes", "eager")),
        (r"MiB, and ([\d.]+) times as fast \|", lambda: _linear("seconds", "eager") / _linear("seconds")),
    ],
)  # fmt: skip
def test_figures_of_the_readme_are_those_of_the_results(sentence, measured):
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    (said,) = re.findall(sentence.replace(" ", r"\s"), readme)
    digits = len(said.partition(".")[2])
    assert said == f"{measured():.{digits}f}", "README.md: put in what the results have now"


@pytest.mark.parametrize("margin", [17.0, 20.0, 50.0])
def test_torch_is_silent_where_the_page_says_so(margin):
    torch = pytest.importorskip("torch")
    z = torch.tensor([[margin, 0.0]], requires_grad=True)
    loss = torch.nn.functional.cross_entropy(z, torch.tensor([0]))
    loss.backward()
    assert loss.item() == 0.0
    assert z.grad[0, 0].item() == 0.0
    value, delta = cl.value_and_delta("softmax+cross_entropy", z.detach().numpy(), np.array([0]), reduction="none")
    assert value[0] == pytest.approx(math.log1p(math.exp(-margin)), rel=1e-6)
    assert delta[0, 0] == pytest.approx(-1 / (1 + math.exp(margin)), rel=1e-6)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert not failed, f"{failed} of {tried} examples in {name} fail; pytest -s shows them"


def test_examples_of_the_page_on_torch_run():
    pytest.importorskip("torch")
    page = (DOCS / "torch.md").read_text(encoding="utf-8")
    names = {}
    exec(re.findall(r"^```python\n(.*?)^```$", page, re.S | re.M)[0], names)  # the imports
    tests = doctest.DocTestParser().get_doctest(page, names, "docs/torch.md", None, None)
    assert len(tests.examples) > 20
    assert not doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(tests).failed


@pytest.mark.parametrize("name", ["jax", "sklearn"])
def test_examples_of_the_pages_on_hosts_run(name, tmp_path, monkeypatch):
    """One after the other, as a reader runs them."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / f"{name}.md").read_text(encoding="utf-8"), re.S | re.M)
    assert blocks
    names = {"__name__": name}
    for block in blocks:
        exec(compile(block, f"docs/{name}.md", "exec"), names)


def test_examples_of_the_page_on_costs_of_ones_own_run(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    page = (DOCS / "own_cost.md").read_text(encoding="utf-8")
    (tmp_path / "welsch.py").write_text(re.search(r"^```python\n(.*?)^```$", page, re.S | re.M)[1], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names = {"__name__": "__main__"}
    test = doctest.DocTestParser().get_doctest(page, names, "docs/own_cost.md", None, None)
    assert len(test.examples) > 10
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert not doctest.DocTestRunner(optionflags=flags).run(test).failed
    del sys.modules["welsch"]


def test_examples_are_found():
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [t for name in MODULES for t in finder.find(importlib.import_module(name))]
    found = {t.name for t in tests if t.examples}
    assert {"costlayer.catalogue.pair", "costlayer.numpy.value_and_delta", "costlayer.explain.text"} <= found
    assert any(name.startswith("costlayer.torch") for name in found)
