"""docs/precision.md says what the benchmark found, and the benchmark measures what it says."""

import copy
import importlib.util
import math
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[1]


def _load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def maker():
    return _load(ROOT / "docs" / "precision_page.py")


@pytest.fixture(scope="module")
def found(maker):
    return maker.read()


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return _load(ROOT / "benchmarks" / "softmax_collapse.py")


def test_page_is_what_the_results_make_now(maker, found):
    page = (ROOT / "docs" / "precision.md").read_text(encoding="utf-8")
    assert page == maker.page(found), "docs/precision.md is stale: run docs/precision_page.py"
    assert "](figures/softmax_collapse.png)" in page


def test_figure_is_drawn_from_these_results(maker, found):
    drawn = maker.FIGURE.read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert maker.digest(found).encode() in drawn, "the figure is stale: run docs/precision_page.py"


def test_digest_sees_every_curve_of_the_figure(maker, found):
    for seed in maker.SEEDS:
        for loss in ("torch", "costlayer"):
            other = copy.deepcopy(found)
            other["runs"][maker.curve(loss, seed)]["test"][0] += 1.0
            assert maker.digest(other) != maker.digest(found)


def test_result_files_are_of_one_measurement(bench, found):
    assert found["settings"] == bench.SETTINGS
    assert list(found["runs"]) == [run.name for run in bench.PLAN]
    table = (bench.RESULTS / "softmax_collapse.md").read_text(encoding="utf-8")
    assert found["machine"] in table
    for name, r in found["runs"].items():
        (line,) = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
        assert line.endswith(f"| {max(r['test']):.3f} | {r['test'][-1]:.3f} |")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_the_page_says_in_words_is_in_the_results(maker, found, seed):
    theirs, ours = (found["runs"][maker.curve(loss, seed)] for loss in ("torch", "costlayer"))
    assert theirs["loss"][-1] == 0.0
    assert theirs["zero"][-1] == 1.0
    assert max(ours["zero"]) == 0.0
    assert theirs["test"][-1] < max(theirs["test"]) < ours["test"][-1]
    assert ours["test"][-1] == pytest.approx(max(ours["test"]), abs=0.005)
    assert theirs["true_loss"][-1] > ours["true_loss"][-1]


class TestBenchmark:
    def test_network_learns_sums_from_the_share_it_is_given(self, bench):
        net = bench.Adder(bench.Run("torch", seed=1))
        a, b = (net.inputs - torch.tensor([0, bench.MODULUS])).T
        assert torch.equal(net.targets, (a + b) % bench.MODULUS)
        assert len(net.train) == int(0.4 * bench.MODULUS**2)
        assert len({*net.train.tolist(), *net.test.tolist()}) == len(net.train) + len(net.test) == bench.MODULUS**2

    def test_runs_begin_alike_and_seeds_differ(self, bench):
        first, same, other = (
            bench.Adder(bench.Run(loss, seed=seed)) for loss, seed in (("torch", 0), ("costlayer", 0), ("torch", 1))
        )
        assert torch.equal(first.embedding, same.embedding)
        assert torch.equal(first.output, same.output)
        assert torch.equal(first.train, same.train)
        assert not torch.equal(first.output, other.output)
        assert not torch.equal(first.train, other.train)

    def test_scores_are_those_of_one_hot_inputs(self, bench):
        net = bench.Adder(bench.Run("torch", scale=1.0))
        hot = torch.zeros(len(net.test), 2 * bench.MODULUS).scatter_(1, net.inputs[net.test], 1.0)
        assert torch.allclose(net.scores(net.test), (hot @ net.embedding).square() @ net.output, atol=1e-4)

    def test_losses_agree_while_nothing_is_sure(self, bench, monkeypatch):
        monkeypatch.setattr(bench, "STEPS", 20)
        records = [bench.train(bench.Run(loss))[1] for loss in ("torch", "costlayer")]
        for theirs, ours in zip(*(r["loss"] for r in records), strict=True):
            assert theirs == pytest.approx(ours, rel=1e-5)
        assert records[0]["loss"][1] < records[0]["loss"][0]
        assert records[0]["zero"] == records[1]["zero"] == [0.0, 0.0]

    def test_what_was_measured_is_gone_on_with(self, bench, tmp_path, monkeypatch):
        monkeypatch.setattr(bench, "UNFINISHED", tmp_path / "runs" / "part.json")
        assert bench.unfinished() == {}
        done = {bench.PLAN[1].name: {"test": [0.5]}}
        bench.keep(done)
        assert bench.unfinished() == done
        monkeypatch.setitem(bench.SETTINGS, "rate", 1.0)
        assert bench.unfinished() == {}

    @pytest.mark.parametrize("y", [0.0, 1.0])
    @pytest.mark.parametrize("z", [-50.0, -1.0, 2.0, 80.0])
    def test_truth_of_sigmoid(self, bench, y, z):
        value, delta = bench.truth(z, y)
        margin = z if y else -z
        assert float(value) == pytest.approx(math.log1p(math.exp(-margin)), rel=1e-12)
        assert float(delta) == pytest.approx((1 - 2 * y) / (1 + math.exp(margin)), rel=1e-12)

    def test_clouds_are_mirror_images_to_an_exact_loss(self, bench):
        for row in bench.clouds():
            if row["loss"] == "costlayer":
                assert row["yes"] == pytest.approx(row["no"], rel=1e-6)
                assert row["missed"] == pytest.approx(row["false"], abs=1e-4)
