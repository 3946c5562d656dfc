"""The figures of docs/jax.md are those of the results."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "jax.md").read_text(encoding="utf-8")


BOTH, ALONE = "value and gradient", "value alone"


@pytest.mark.parametrize(
    ("sentence", "pair", "shape", "what"),
    [
        (r"([\d.]+) times as long as Optax's for sigmoid\+cross_entropy", "sigmoid+cross_entropy", [1 << 22], BOTH),
        (r"([\d.]+) times for identity\+huber", "identity+huber", [1 << 22], BOTH),
        (r"10 classes \(([\d.]+) times", "softmax+cross_entropy", [1 << 18, 10], BOTH),
        (r"class indices \(([\d.]+)\)", "softmax+cross_entropy", [65536, 100], f"{BOTH}, shares"),
        (r"identity\+log_cosh \(([\d.]+)\)", "identity+log_cosh", [1 << 22], BOTH),
        (r"32,000 classes takes ([\d.]+) times", "softmax+cross_entropy", [2048, 32000], ALONE),
    ],
)
def test_times_are_those_of_the_results(sentence, pair, shape, what):
    results = json.loads((ROOT / "benchmarks" / "results" / "xla.json").read_text(encoding="utf-8"))
    (seconds,) = (
        case["seconds"]
        for case in results["cases"]
        if (case["pair"], case["shape"], case["what"]) == (pair, shape, what)
    )
    (said,) = re.findall(sentence.replace(" ", r"\s"), PAGE)
    found = f"{seconds['ours'] / seconds['optax']:.2f}"
    assert found == said, "docs/jax.md: put in what the results have now"
