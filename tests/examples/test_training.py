"""The examples of training: each learns, and what its trainer makes of the cost layer is what it should be."""

import doctest
import importlib
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch.utils.data import DataLoader

from costlayer.torch import CostLayer, CrossEntropyLoss

# Lightning says so of data without worker processes, and calls what torch has given another name
LIGHTNING = ["ignore:.*does not have many workers", "ignore:.*treespec, LeafSpec"]
lightning = [pytest.mark.filterwarnings(each) for each in LIGHTNING]


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_training",
        pytest.param("lightning_training", marks=lightning),
        "accelerate_training",
        "skorch_training",
    ],
)
def test_it_learns_and_says_so(name, capsys):
    accuracy, cost = importlib.import_module(name).main(epochs=10)
    said = re.findall(r"held out: accuracy ([\d.]+), mean cost ([\d.]+)", capsys.readouterr().out)
    assert said == [(f"{accuracy:.3f}", f"{cost:.4f}")]
    assert accuracy > 0.9
    assert cost < 0.4  # ln 10 at first


def test_at_first_the_network_predicts_how_frequent_each_digit_is():
    import pytorch_training as example

    x, y, *_ = example.digits()
    layer = CostLayer("softmax+cross_entropy")
    found = layer.predict(example.network(layer.constant(y))(x[:5]))
    torch.testing.assert_close(found, (y.bincount() / len(y)).expand(5, 10))


# ---------------------------------------------------------------------------------------------------------- Lightning


def _trainer(**options):
    import lightning as L

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return L.Trainer(accelerator="cpu", **quiet, enable_model_summary=False, **options)


@pytest.mark.filterwarnings(*LIGHTNING)
def test_lightnings_val_loss_is_the_mean_over_all_labels():
    """Of batches with unequally many: a mean of means is another number."""
    from lightning_training import Classifier

    torch.manual_seed(0)
    model = Classifier(4, 3)
    model.layer = CostLayer("softmax+cross_entropy", ignore_index=-100)
    x, y = torch.randn(5, 4), torch.tensor([0, -100, 1, 2, 2])
    batches = [(x[:2], y[:2]), (x[2:], y[2:])]
    (found,) = _trainer().validate(model, DataLoader(batches, batch_size=None), verbose=False)
    with torch.no_grad():
        each = [model.layer(model.network(x), y).item() for x, y in batches]
        whole = nn.functional.cross_entropy(model.network(x), y).item()
    assert found["val_loss"] == pytest.approx(whole, rel=1e-6)
    assert sum(each) / 2 != pytest.approx(whole, rel=1e-3)


@pytest.mark.filterwarnings(*LIGHTNING)
def test_lightning_predicts_probabilities_and_keeps_no_more_than_the_network():
    from lightning_training import Classifier

    model = Classifier(4, 3)
    x = torch.randn(5, 4)
    (found,) = _trainer().predict(model, DataLoader([(x, x)], batch_size=None))
    torch.testing.assert_close(found, model.network(x).softmax(1))
    assert {name.split(".")[0] for name in model.state_dict()} == {"network"}


# --------------------------------------------------------------------------------------------------------- Accelerate


def test_accelerates_micro_batches_have_the_gradient_of_the_whole():
    from accelerate import Accelerator
    from accelerate_training import accumulate

    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    x, y = torch.randn(7, 4).double(), torch.tensor([0, -100, 1, 2, -100, 2, 1])
    nn.functional.cross_entropy(model(x), y).backward()
    whole = model.weight.grad
    model.zero_grad()
    layer = CostLayer("softmax+cross_entropy", ignore_index=-100)
    accumulate(Accelerator(cpu=True), model, layer, [[x[part], y[part]] for part in (slice(0, 2), slice(2, 7))])
    torch.testing.assert_close(model.weight.grad, whole, rtol=1e-13, atol=1e-15)


# ------------------------------------------------------------------------------------------------------------- skorch


@pytest.fixture(scope="module")
def blobs():
    draw = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 40)
    x = draw.normal(size=(120, 64)).astype(np.float32)
    x[np.arange(120), y] += 6.0
    return x, y


def test_skorchs_probabilities_are_the_pairs(blobs):
    from skorch_training import classifier

    x, y = blobs
    net = classifier(y, epochs=5).fit(x, y)
    with torch.no_grad():
        scores = net.module_(torch.from_numpy(x))
    np.testing.assert_allclose(net.predict_proba(x), scores.softmax(1), rtol=1e-5)
    assert (net.predict(x) == y).mean() > 0.8
    net.set_params(predict_nonlinearity="auto")  # knows torch's own classes only: these are scores
    np.testing.assert_array_equal(net.predict_proba(x), scores)


def test_skorch_knows_a_loss_by_torchs_name(blobs):
    from skorch import NeuralNetClassifier
    from skorch_training import Network, classifier

    x, y = blobs
    start = classifier(y).get_params()["module__start"]
    net = NeuralNetClassifier(Network, module__start=start, criterion=CrossEntropyLoss, max_epochs=1, verbose=0)
    net.fit(x, y)
    np.testing.assert_allclose(net.predict_proba(x).sum(1), 1.0, rtol=1e-5)


def test_a_regressor_of_skorch_predicts_rates_when_told_to():
    from skorch import NeuralNetRegressor

    torch.manual_seed(0)
    layer, x = CostLayer("exp+poisson"), np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    told = {"criterion": CostLayer, "criterion__pair": "exp+poisson", "max_epochs": 2, "verbose": 0}
    net = NeuralNetRegressor(nn.Linear, module__in_features=2, module__out_features=1, **told)  # type: ignore
    net.fit(x, np.float32(np.exp(x[:, :1])))
    scores = net.predict(x)
    net.set_params(predict_nonlinearity=layer.predict)
    np.testing.assert_allclose(net.predict(x), np.exp(scores), rtol=1e-6)


def test_a_classifier_of_skorch_is_cloned_and_searched(blobs):
    from sklearn.model_selection import GridSearchCV
    from skorch_training import classifier

    x, y = blobs
    net = clone(classifier(y, epochs=2))
    pairs = ["softmax+cross_entropy", "sparsemax+fenchel_young"]
    search = GridSearchCV(net, {"criterion__pair": pairs}, cv=2, scoring="accuracy").fit(x, y)
    assert search.best_score_ > 0.5
    assert search.best_estimator_.criterion_.pair.name in pairs


def test_labels_that_are_no_class_are_said_with_their_place(blobs):
    from skorch_training import classifier

    x, y = blobs
    net = classifier(y, epochs=1).set_params(train_split=None, iterator_train__shuffle=False)
    with pytest.raises(ValueError, match=r"y\[2\]: got class 7; expected a class from 0 to 2"):
        net.fit(x, np.where(np.arange(120) == 2, 7, y))


# ----------------------------------------------------------------------------------------------------------- the page


PAGE = (Path(__file__).parents[2] / "docs" / "trainers.md").read_text(encoding="utf-8")


def test_examples_of_the_page_run():
    test = doctest.DocTestParser().get_doctest(PAGE, {}, "docs/trainers.md", None, None)
    assert len(test.examples) > 10
    assert not doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test).failed


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./]+)\)", PAGE))))
def test_the_page_leads_somewhere(link):
    assert (Path(__file__).parents[2] / "docs" / link).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"examples/(\w+)\.py", PAGE))))
def test_an_example_has_fewer_than_60_lines(name):
    module = importlib.import_module(name)
    assert len(Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.filterwarnings(*LIGHTNING, "ignore:The `srun` command")
def test_lightnings_accumulated_step_is_that_of_the_large_batch():
    """By what the page has."""
    names = {}
    exec(re.search(r"^```python\n(import lightning.*?)^```$", PAGE, re.S | re.M)[1], names)  # type: ignore
    torch.manual_seed(0)
    model = names["Accumulating"]()
    model.network, model.layer = nn.Linear(4, 3), CostLayer("softmax+cross_entropy", ignore_index=-100)
    model.configure_optimizers = lambda: torch.optim.SGD(model.network.parameters(), lr=1.0)
    x, y = torch.randn(7, 4), torch.tensor([0, -100, 1, 2, -100, 2, 1])
    (slope,) = torch.autograd.grad(nn.functional.cross_entropy(model.network(x), y), model.network.weight)
    truth = model.network.weight.detach() - slope
    parts = [(x[part], y[part]) for part in (slice(0, 2), slice(2, 6), slice(6, 7))]
    _trainer(max_steps=1, accumulate_grad_batches=3).fit(model, DataLoader(parts, batch_size=None))
    torch.testing.assert_close(model.network.weight.detach(), truth)
