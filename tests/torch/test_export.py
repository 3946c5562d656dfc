"""Exported networks give predictions, those of `predict`: by torch.export, and in ONNX Runtime."""

import doctest
import io
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import costlayer as cl
from costlayer.errors import InvalidType, InvalidValue
from costlayer.torch import CostLayer, CrossEntropyLoss, LinearCostLayer, OrdinalScores, Predictor

# what torch's exporter does by a name that torch has given up
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")

ACTIVATIONS = {pair.activation.name: pair for pair in cl.pairs()}
UNITS = 4  # in the last place, of which the runtime's own exp, log and tanh take up to 3
SPECIAL = [0.0, 0.5, 3.0, 8.284573554992676, 13.0, 20.0, 87.0, 88.5, 100.0, 103.0, 1e4, 1e30, np.inf, 1e-6]
BATCH = {0: torch.export.Dim("batch")}


def _scores(pair, dtype=torch.float32):
    draw = np.random.default_rng(0)
    width = 2 if pair.two else 5 if pair.row else 3
    sizes = np.repeat([1e-4, 0.3, 3.0, 30.0], 50)[:, None]
    ends = [np.full(width, each) for each in (np.inf, -np.inf, np.nan, 100.0, -100.0)]
    special = draw.choice([*SPECIAL, *(-each for each in SPECIAL), np.nan], size=(200, width))
    return torch.tensor(np.concatenate([sizes * draw.normal(size=(200, width)), ends, special]), dtype=dtype)


def _onnx(module, x, **options):
    """The module as ONNX Runtime runs it, exported with a batch of two for batches of any size."""
    program = torch.onnx.export(module.eval(), (x[:2],), dynamo=True, dynamic_shapes=(BATCH,), verbose=False, **options)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    (given,) = session.get_inputs()
    assert isinstance(given.shape[0], str)  # of any size
    return session.run(None, {given.name: x.numpy()})[0], program


def _units(found, truth):
    """How many units in the last place two arrays are apart."""
    assert found.dtype == truth.dtype
    same = (found == truth) | (np.isnan(found) & np.isnan(truth))
    with np.errstate(invalid="ignore"):
        least = np.finfo(truth.dtype).tiny
        apart = np.abs(found.astype(np.float64) - truth) / np.spacing(np.maximum(np.abs(truth), least))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart)).max()


@pytest.mark.parametrize("pair", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_onnx_runtime_gives_the_predictions(pair):
    layer, z = CostLayer(pair), _scores(pair)
    found, program = _onnx(Predictor(nn.Identity(), layer), z)
    truth = layer.predict(z).numpy()
    assert _units(found, truth) <= UNITS
    assert _units(program.exported_program.module()(z).numpy(), truth) <= UNITS
    inside = ~np.isnan(truth)
    low, high = pair.range.low, pair.range.high
    if not pair.two:
        assert (found[inside] >= low).all()
        assert (found[inside] <= high).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that exporter is all of what torch will drop
@pytest.mark.parametrize("pair", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_the_old_exporter_gives_them_too(pair):
    """Keras has no other; it goes by torch.jit.trace."""
    layer, z = CostLayer(pair), _scores(pair)
    predictor, file = Predictor(nn.Identity(), layer).eval(), io.BytesIO()
    truth = layer.predict(z).numpy()
    torch.onnx.export(predictor, (z[:2],), file, dynamo=False, input_names=["z"], dynamic_axes={"z": {0: "batch"}})
    (found,) = onnxruntime.InferenceSession(file.getvalue()).run(None, {"z": z.numpy()})
    assert _units(found, truth) <= UNITS
    assert _units(torch.jit.trace(predictor, (z[:2],))(z).numpy(), truth) <= UNITS


@pytest.mark.parametrize("name", ["leaky_relu", "probit", "softplus"])
def test_numbers_in_graphs_of_float64_have_their_digits(name):
    """torch's exporter writes them as float32."""
    layer, z = CostLayer(ACTIVATIONS[name]), _scores(ACTIVATIONS[name], torch.float64)
    found, _ = _onnx(Predictor(nn.Identity(), layer), z)
    assert _units(found, layer.predict(z).numpy()) <= UNITS


@pytest.mark.parametrize("options", [{"temperature": 0.7}, {"softcap": 13.3}, {"temperature": 0.3, "softcap": 7.1}])
def test_options_of_the_scores_are_in_the_graph(options):
    layer = CostLayer("softmax+cross_entropy", logit_adjustment=torch.zeros(5), z_loss=0.1, **options)
    z = _scores(layer.pair)
    found, _ = _onnx(Predictor(nn.Identity(), layer), z)
    assert _units(found, layer.predict(z).numpy()) <= UNITS


def _network(outputs=6):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs))


@pytest.mark.parametrize("shape", [(9, 4), (9, 3, 4)])
@pytest.mark.parametrize("pair", ["softmax+cross_entropy", "sigmoid+cross_entropy", "identity_exp+gaussian"])
def test_the_linear_layer_gives_predictions(pair, shape):
    torch.manual_seed(0)
    predictor, x = Predictor(nn.Tanh(), LinearCostLayer(4, 6, pair)), 3.0 * torch.randn(shape)
    found, _ = _onnx(predictor, x)
    np.testing.assert_allclose(found, predictor(x), rtol=2e-6)  # its products too are the runtime's


def test_a_trained_network_is_served_whole(tmp_path):
    """From its file, with names, and with more axes behind the classes."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, 5, 3)
    predictor = Predictor(network, CostLayer("softmax+cross_entropy")).eval()
    x, file = torch.randn(4, 3, 6, 7), tmp_path / "model.onnx"
    torch.onnx.export(
        predictor, (x[:2],), file, dynamo=True, verbose=False, dynamic_shapes=({**BATCH, 2: torch.export.Dim("high")},),
        input_names=["pictures"], output_names=["probabilities"],
    )  # fmt: skip
    session = onnxruntime.InferenceSession(file)
    for each in (x, torch.randn(1, 3, 9, 7)):
        (found,) = session.run(["probabilities"], {"pictures": each.numpy()})
        np.testing.assert_allclose(found, network(each).softmax(1).detach(), rtol=1e-5)
        np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-6)


def test_classes_in_order_are_served():
    torch.manual_seed(0)
    scores, layer, x = OrdinalScores(4, classes=5), CostLayer("ordinal+cumulative_logit"), torch.randn(7, 4)
    found, _ = _onnx(Predictor(scores, layer), x)
    np.testing.assert_allclose(found, torch.sigmoid(scores(x)).detach(), rtol=1e-6)


@pytest.mark.parametrize("strict", [False, True])
def test_torch_export_gives_the_predictions(strict):
    predictor, x = Predictor(_network(), CostLayer("sigmoid+cross_entropy")).eval(), torch.randn(9, 4)
    program = torch.export.export(predictor, (x[:2],), dynamic_shapes=(BATCH,), strict=strict)
    found = program.module()(x)
    torch.testing.assert_close(found, torch.sigmoid(predictor.network(x)).detach())
    assert not found.requires_grad
    assert set(program.state_dict) == {f"network.{name}" for name in predictor.network.state_dict()}


class _Own(nn.Module):
    """A module of one's own, whose gradient may be asked for."""

    def __init__(self, network, layer):
        super().__init__()
        self.network, self.layer = network, layer

    def forward(self, x):
        return self.layer.predict(self.network(x))


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "softplus", "elu", "sparsemax", "ordinal", "conditional"])
def test_gradients_go_through_what_torch_export_made(name):
    """At scores of 0 too, where formulas have their corners."""
    own, x = _Own(_network(5), CostLayer(ACTIVATIONS[name])), torch.randn(3, 4)
    x[0], own.network[0].bias.data[:], own.network[2].bias.data[:] = 0.0, 0.0, 0.0
    along = torch.randn(3, 5)
    (own(x) * along).sum().backward()
    truth = [each.grad for each in own.parameters()]
    own.zero_grad()
    (torch.export.export(own, (x,)).module()(x) * along).sum().backward()
    torch.testing.assert_close([each.grad for each in own.parameters()], truth)
    own.zero_grad()
    found, program = _onnx(own, x)
    np.testing.assert_allclose(found, own(x).detach(), rtol=1e-5)
    if not own.layer.pair.row:  # in ONNX nothing is there for gradients
        assert not {"Clip", "IsInf"} & {node.op_type for node in program.model_proto.graph.node}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_computed_in_float32(dtype):
    layer, z = CostLayer("softmax+cross_entropy"), torch.randn(4, 5).to(dtype)
    found = torch.export.export(Predictor(nn.Identity(), layer), (z,)).module()(z)
    assert torch.equal(found, layer.predict(z))


def test_predictions_are_those_of_the_layer_and_without_gradients():
    network, layer = _network(), CostLayer("sigmoid+cross_entropy")
    predictor, x = Predictor(network, layer), torch.randn(3, 4)
    assert torch.equal(predictor(x), layer.predict(network(x)))
    assert not predictor(x).requires_grad
    assert predictor.network is network
    Predictor(_network(), layer).load_state_dict(predictor.state_dict())


@pytest.mark.parametrize("layer", [CrossEntropyLoss(), nn.Softmax(1)])
def test_what_gives_no_predictions_is_refused(layer):
    with pytest.raises(InvalidType, match=rf"layer: got {type(layer).__name__}; expected a CostLayer"):
        Predictor(_network(), layer)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
@pytest.mark.parametrize("export", [torch.export.export, torch.jit.trace])
def test_scores_of_another_number_are_refused(export):
    with pytest.raises(InvalidValue, match="one yes-or-no score use sigmoid"):
        export(Predictor(_network(1), CostLayer("softmax+cross_entropy")), (torch.randn(3, 4),))
    with pytest.raises(InvalidValue, match="two scores"):
        export(Predictor(_network(3), CostLayer("identity_exp+gaussian")), (torch.randn(3, 4),))


def test_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(page, {}, "docs/export.md", None, None)
    assert len(test.examples) > 10
    assert not doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test).failed
    assert re.search(r"^## .*wrong", page, re.M | re.I)
