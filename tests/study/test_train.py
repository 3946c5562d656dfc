"""Every pair starts from the same weights, sees the same batches, and can stop and go on anywhere."""

import io

import numpy as np
import pytest
import torch

from costlayer.errors import InvalidValue
from costlayer.sklearn.encoding import Encoding
from costlayer.sklearn.network import batches, build
from costlayer.sklearn.training import OPTIMIZERS
from costlayer.study import train
from costlayer.study.train import Data, RateSearch, Settings


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = {part: np.arange(rows) % 3 for part, rows in (("train", 90), ("validation", 30), ("test", 30))}
    x = {part: rng.normal(size=(len(of), 4)).astype(np.float32) + np.eye(3, 4)[of] * 2 for part, of in y.items()}
    return Data({part: of.astype(np.float32) for part, of in x.items()}, y)


def training(data, pair="softmax+cross_entropy", rate=0.01, trial=False, seed=0, **settings):
    settings = Settings(**{"hidden": (8,), "epochs": 4, "batch_size": 32, **settings})
    encoding = Encoding.fit(pair, "classes", data.y["train"], data.y["train"], 3)
    return train.training(settings, data, encoding, seed=seed, rate=rate, trial=trial)[1]


def finish(run):
    records = []
    while not run.finished:
        if record := run.advance():
            del record["seconds"]
            records.append(record)
    return records


def test_pairs_of_one_seed_share_hidden_weights_and_batches(data):
    wide, narrow = build(4, (8, 5), "relu", 3, seed=1), build(4, (8, 5), "relu", 1, seed=1)
    for layer in (0, 2):
        assert torch.equal(wide[layer].weight, narrow[layer].weight)
    assert wide[4].weight.shape != narrow[4].weight.shape
    assert not torch.equal(wide[0].weight, build(4, (8, 5), "relu", 3, seed=2)[0].weight)
    runs = [training(data, pair) for pair in ("softmax+cross_entropy", "sigmoid+mse")]
    for run in runs:
        run.advance()
    hidden = [run.network.state_dict()["0.weight"] for run in runs]
    assert torch.equal(*hidden)
    for epoch in (1, 2):
        for run in runs:
            assert all(np.array_equal(a, b) for a, b in zip(run.order, batches(90, 32, 0, epoch), strict=True))
            while run.epoch == epoch:
                run.advance()


def test_batches_hold_every_row_once_and_differ_by_epoch_and_seed():
    order = np.concatenate(batches(100, 32, 0, 1))
    assert sorted(order) == list(range(100))
    assert [len(batch) for batch in batches(100, 32, 0, 1)] == [32, 32, 32, 4]
    for other in (batches(100, 32, 0, 2), batches(100, 32, 1, 1)):
        assert not np.array_equal(order, np.concatenate(other))


def test_the_output_bias_starts_at_the_constant(data):
    start = training(data, "sigmoid+cross_entropy").network.state_dict()["2.bias"]
    np.testing.assert_allclose(start.numpy(), np.log(1 / 2), rtol=1e-5)  # a third of the rows are of each class


def test_training_lowers_the_loss_and_records_what_it_should(data):
    run = training(data, rate=0.5, hidden=(16,), epochs=6)
    records = finish(run)
    assert [record["epoch"] for record in records] == list(range(7))
    assert records[-1]["validation_loss"] < 0.5 * records[0]["validation_loss"]
    assert records[-1]["metrics"]["accuracy"] > 0.7
    assert len(records[0]["gradient_norm"]) == 2
    assert all(norm > 0 for record in records for norm in record["gradient_norm"])
    assert [shot["moment"] for shot in run.snapshots()] == ["start", "middle", "end"]
    assert [shot["epoch"] for shot in run.snapshots()] == [0, 3, 6]


def test_the_gradient_norm_is_that_of_the_batch(data):
    run = training(data)
    norms = run.advance()["gradient_norm"]
    net = build(4, (8,), "relu", 3, seed=0)
    x, y = torch.from_numpy(data.x["train"]), torch.from_numpy(data.y["train"])
    rows = batches(90, 32, 0, 1)[0]
    torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
    for norm, layer in zip(norms, (net[0], net[2]), strict=True):
        assert norm == pytest.approx(float((layer.weight.grad**2).sum() + (layer.bias.grad**2).sum()) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_going_on_from_any_batch_is_the_same_as_never_stopping(data, optimizer):
    whole = training(data, optimizer=optimizer)
    expected = finish(whole)
    for stop in (2, 5):  # in the middle of the first epoch, and at the beginning of the second
        first, records = training(data, optimizer=optimizer), []
        for _ in range(stop):
            if record := first.advance():
                del record["seconds"]
                records.append(record)
        file = io.BytesIO()
        torch.save(first.state(), file)
        file.seek(0)
        second = training(data, optimizer=optimizer)
        second.resume(torch.load(file, weights_only=True))
        assert records + finish(second) == expected
        assert all(torch.equal(second.best[name], whole.best[name]) for name in whole.best)
        assert list(second.snapshots()) == list(whole.snapshots())


def test_early_stopping_keeps_the_best_weights(data):
    run = training(data, rate=0.1, epochs=200, patience=3, hidden=(32,))
    records = finish(run)
    losses = [record["validation_loss"] for record in records]
    assert run.stopped == "early"
    assert run.best_epoch == int(np.argmin(losses)) == len(losses) - 1 - 3
    run.restore_best()
    z = torch.from_numpy(run.scores(data.x["validation"]))
    again = torch.nn.functional.cross_entropy(z, torch.from_numpy(data.y["validation"]))
    assert float(again) == pytest.approx(min(losses), rel=1e-5)


def test_a_diverging_training_stops_with_null_not_nan(data):
    run = training(data, "identity+mse", rate=1e30, optimizer="sgd", epochs=50)
    records = finish(run)
    assert run.diverged
    assert run.stopped == "early"
    assert records[-1]["validation_loss"] is None
    assert set(records[-1]["metrics"].values()) == {None}


@pytest.mark.parametrize("best", [-4, -1, 0, 2, 5])
def test_the_rate_search_finds_the_bottom_of_a_bowl(best):
    search = RateSearch(0.01, {})
    while (rate := search.next()) is not None:
        search.scores[rate] = abs(np.log10(rate / 0.01) * 2 - best)
    assert search.best == search.rate(best)
    assert len(search.scores) == max(3, abs(best) + 3)


def test_the_rate_search_leaves_rates_that_diverge():
    search = RateSearch(1.0, {})
    while (rate := search.next()) is not None:
        search.scores[rate] = None if rate > 0.05 else abs(np.log10(rate / 0.01))
    assert search.best == 0.01


def test_a_trial_is_short_and_scores_the_validation_loss(data):
    run = training(data, trial=True, epochs=50, search_epochs=2)
    records = finish(run)
    assert [record["epoch"] for record in records] == [0, 1, 2]
    assert run.best_loss == min(record["validation_loss"] for record in records)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("optimizer", "adamm", "adam"),
        ("activation", "rellu", "relu"),
        ("epochs", 0, "at least 1"),
        ("hidden", (0,), "at least 1"),
        ("precision", "16", "16-|32-true"),
        ("accelerator", "gpuu", "Known|Did you mean"),
    ],
)
def test_settings_that_do_not_work_are_refused(name, value, hint):
    with pytest.raises(InvalidValue, match=hint):
        Settings(**{name: value})
