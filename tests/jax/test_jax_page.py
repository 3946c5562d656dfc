"""The figures of docs/jax.md are those of the results."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "jax.md").read_text(encoding="utf-8")


def ratio(pair, shape):
    results = json.loads((ROOT / "benchmarks" / "results" / "xla.json").read_text(encoding="utf-8"))
    (seconds,) = (case["seconds"] for case in results["cases"] if (case["pair"], case["shape"]) == (pair, shape))
    return seconds["ours"] / seconds["optax"]


@pytest.mark.parametrize(
    ("sentence", "pair", "shapes"),
    [
        (r"sigmoid\+cross_entropy takes ([\d.]+) times", "sigmoid+cross_entropy", [[1 << 22]]),
        (r"identity\+huber ([\d.]+) times", "identity+huber", [[1 << 22]]),
        (r"softmax\+cross_entropy takes ([\d.]+) times", "softmax+cross_entropy", [[1 << 18, 10]]),
        (r"the ratio is about ([\d.]+)\.\s", "softmax+cross_entropy", [[65536, 100], [2048, 32000]]),
    ],
)
def test_times_are_those_of_the_results(sentence, pair, shapes):
    (said,) = re.findall(sentence.replace(" ", r"\s"), PAGE)
    assert said == f"{max(ratio(pair, shape) for shape in shapes):.2f}", "docs/jax.md: put in what the results have now"
