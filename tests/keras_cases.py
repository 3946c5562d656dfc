"""What holds for Keras on each of its back ends; tests/test_keras.py runs it once for every one of them."""

import copy
import pickle
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import losses, ops

import costlayer as cl
from costlayer.catalogue import build, read_pair
from costlayer.errors import CostLayerError
from costlayer.keras import CostLayerLoss, Prediction
from own_costs import QUARTIC

# of Keras's variables on both back ends, wherever Keras makes NumPy's arrays of them
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

ROOT = Path(__file__).parents[1]
BACKEND = keras.backend.backend()
DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(6, 5)).astype("float32")
CLASSES = np.array([0, 4, 2, 2, 1, 3])
SHARES = DRAW.dirichlet(np.ones(5), 6).astype("float32")
YES = (DRAW.random((6, 5)) > 0.5).astype("float32")
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 0.25], "float32")
SEQUENCE = DRAW.normal(size=(3, 4, 5)).astype("float32")
WORDS = DRAW.integers(0, 5, (3, 4))


def value_and_gradient(loss, y, z, weight=None):
    """A reduced loss and its gradient by the scores, as the back end has it: on JAX in a compiled function."""
    if BACKEND == "torch":
        import torch

        scores = torch.tensor(z, requires_grad=True)
        found = loss(y, scores, weight)
        found.backward()
        return found.item(), scores.grad.numpy()
    import jax

    y = np.asarray(y)
    found, slope = jax.jit(jax.value_and_grad(lambda z, y: loss(y, z, weight)))(z, y)
    return float(found), np.asarray(slope)


@pytest.fixture
def quick_compiler(monkeypatch):
    """Capturing a step is Keras's and ours to do; generating code from it takes torch half a minute."""
    if BACKEND == "torch":
        import functools

        import torch

        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))


def numbers(array):
    return np.asarray(ops.convert_to_numpy(array))


LABELLED = "softmax+cross_entropy", {}, losses.SparseCategoricalCrossentropy, {"from_logits": True}, CLASSES, ROWS
SAME = [
    LABELLED,
    (*LABELLED[:4], CLASSES[:, None], ROWS),
    (*LABELLED[:4], CLASSES.astype("float64"), ROWS),
    (*LABELLED[:4], WORDS, SEQUENCE),
    (*LABELLED[:4], WORDS[..., None], SEQUENCE),
    ("softmax+cross_entropy", {}, losses.CategoricalCrossentropy, {"from_logits": True}, SHARES, ROWS),
    (
        "softmax+cross_entropy",
        {"label_smoothing": 0.1},
        losses.CategoricalCrossentropy,
        {"from_logits": True, "label_smoothing": 0.1},
        np.eye(5)[WORDS],
        SEQUENCE,
    ),
    ("sigmoid+cross_entropy", {}, losses.BinaryCrossentropy, {"from_logits": True}, YES, ROWS),
    (
        "sigmoid+cross_entropy",
        {"label_smoothing": 0.2},
        losses.BinaryCrossentropy,
        {"from_logits": True, "label_smoothing": 0.2},
        YES[:, 0],
        ROWS[:, :1],
    ),
    ("identity+mse", {}, losses.MeanSquaredError, {}, SHARES, ROWS),
    ("identity+mse", {}, losses.MeanSquaredError, {}, SHARES[:, 0], ROWS[:, :1]),
    ("identity+mse", {}, losses.MeanSquaredError, {}, SHARES[:, :1], ROWS[:, 0]),
    ("identity+mae", {}, losses.MeanAbsoluteError, {}, np.ones((3, 4, 5)), SEQUENCE),
    ("identity+huber", {"delta": 0.5}, losses.Huber, {"delta": 0.5}, SHARES, ROWS),
    ("identity+log_cosh", {}, losses.LogCosh, {}, SHARES, ROWS),
    ("identity+hinge", {}, losses.Hinge, {}, YES, ROWS),
]


@pytest.mark.parametrize(("pair", "options", "theirs", "their_options", "y", "z"), SAME)
def test_values_and_gradients_are_kerass(pair, options, theirs, their_options, y, z):
    weight = np.broadcast_to(WEIGHTS[: len(z), None], y.shape[:2]) if z.ndim == 3 else WEIGHTS
    value, slope = value_and_gradient(CostLayerLoss(pair, **options), y, z, weight)
    expected, expected_slope = value_and_gradient(theirs(**their_options), y, z, weight)
    assert value == pytest.approx(expected, rel=2e-6)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-4, atol=1e-7)


def two_scores(shape):
    return DRAW.normal(size=(*shape, 2)).astype("float32")


FRONT = [
    ("softmax+focal", {"gamma": 1.5}, SEQUENCE, WORDS),
    ("sparsemax+fenchel_young", {}, SEQUENCE, WORDS),
    ("ordinal+coral", {}, SEQUENCE, WORDS),
    ("conditional+corn", {}, ROWS[:, :1], np.array([0, 1, 1, 0, 1, 0])),
    ("identity_exp+gaussian", {}, two_scores((3, 4)), SEQUENCE[..., 0]),
    ("exp+poisson", {}, ROWS, CLASSES[:, None] * np.ones((1, 5))),
    ("identity+quantile", {"quantile": 0.9}, ROWS, SHARES),
]


@pytest.mark.parametrize(("pair", "parameters", "z", "y"), FRONT)
def test_values_and_gradients_are_the_numpy_fronts(pair, parameters, z, y):
    """At 1e-6, in float64, with the classes along the axis that this one has them on."""
    pair = build(pair, parameters)
    lead = z.shape[:-1]
    rows = z.astype(np.float64).reshape(-1, z.shape[-1])
    joint = pair.row or pair.two
    labels = y.reshape(-1) if joint else y.reshape(rows.shape).astype(np.float64)
    value = cl.value(pair, rows, labels, reduction="none")
    weight = np.linspace(0.5, 1.5, int(np.prod(lead)))
    _, slope = cl.value_and_delta(
        pair, rows, labels, weight if joint else np.repeat(weight[:, None], rows.shape[1], 1), reduction="sum"
    )
    if not joint:
        value, slope = value.mean(axis=1), slope / rows.shape[1]
    found = CostLayerLoss(pair, reduction=None)(y, z)
    assert tuple(found.shape) == lead
    np.testing.assert_allclose(numbers(found), value.reshape(lead), rtol=2e-6, atol=1e-7)
    total, found = value_and_gradient(CostLayerLoss(pair, reduction="sum"), y, z, weight.reshape(lead))
    assert total == pytest.approx(value @ weight, rel=2e-6)
    np.testing.assert_allclose(found, slope.reshape(z.shape), rtol=1e-5, atol=1e-7)


def test_a_sure_model_keeps_its_digits():
    """Where softplus(d) is far below the spacing of float32 at 1, and Keras's own losses are 0."""
    z = np.array([[30.0, 0.0]], "float32")
    value, slope = value_and_gradient(CostLayerLoss("softmax+cross_entropy"), np.array([0]), z)
    assert value == pytest.approx(np.log1p(np.exp(-30.0)), rel=1e-6)
    assert slope[0] == pytest.approx([-np.exp(-30.0), np.exp(-30.0)], rel=1e-6)
    assert value_and_gradient(losses.SparseCategoricalCrossentropy(from_logits=True), np.array([0]), z)[0] == 0.0


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", None])
@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_an_ignored_class_counts_as_in_keras(weight, reduction):
    y = np.where(CLASSES == 2, -1, CLASSES)
    theirs = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1, reduction=reduction)
    ours = CostLayerLoss("softmax+cross_entropy", ignore_class=-1, reduction=reduction)
    np.testing.assert_allclose(numbers(ours(y, ROWS, weight)), numbers(theirs(y, ROWS, weight)), rtol=2e-6)
    if reduction == "sum_over_batch_size":
        wild = np.where(y[:, None] == -1, np.inf, ROWS)
        value, slope = value_and_gradient(ours, y, wild, weight)
        assert np.isfinite(value)
        assert not slope[y == -1].any()
        assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("weight", "divisor"), [(None, 6), (np.array([2.0, 2, 0, 0, 1, 1]), 6), (np.zeros(6), 6)]
)  # fmt: skip
def test_the_mean_divides_by_the_samples_and_not_by_their_weights(weight, divisor):
    each = numbers(CostLayerLoss("softmax+cross_entropy", reduction=None)(CLASSES, ROWS))
    found = float(CostLayerLoss("softmax+cross_entropy")(CLASSES, ROWS, weight))
    assert found == pytest.approx((each * (1 if weight is None else weight)).sum() / divisor, rel=1e-6)


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("pair", "options", "message"),
    [
        ("ordinal+cumulative_logit", {}, "pair: .*no Keras layer.*Use ordinal.coral or conditional.corn"),
        ("identity+cross_entropy", {}, "pair: "),
        ("identity+mse", {"label_smoothing": 0.1}, "label_smoothing: "),
        ("ordinal+coral", {"label_smoothing": 0.1}, "label_smoothing: "),
        ("softmax+cross_entropy", {"label_smoothing": 1.0}, "label_smoothing: "),
        ("softmax+cross_entropy", {"ignore_class": 0.5}, "ignore_class: .*whole number"),
        ("sigmoid+cross_entropy", {"ignore_class": 0}, "ignore_class: .*sample_weight of 0"),
        ("identity+mse", {"dtype": "bfloat16"}, "dtype: .*mixed_bfloat16"),
        ("identity+huber", {"width": 1.0}, "width: .*unknown parameter"),
    ],
)
def test_what_a_loss_cannot_be_made_of(pair, options, message):
    with pytest.raises(CostLayerError, match=message):
        CostLayerLoss(pair, **options)


@pytest.mark.parametrize(
    ("pair", "y", "z", "weight", "message"),
    [
        ("softmax+cross_entropy", np.where(CLASSES == 3, 5, CLASSES), ROWS, None, r"y_true\[5\]: got class 5"),
        ("softmax+cross_entropy", np.where(WORDS == WORDS[1, 2], -1, WORDS), SEQUENCE, None, "-1.*ignore_class=-1"),
        ("softmax+cross_entropy", CLASSES + 0.5, ROWS, None, r"y_true\[0\]: got 0.5; expected a class index"),
        ("softmax+cross_entropy", np.where(CLASSES == 3, np.inf, CLASSES), ROWS, None, r"y_true\[5\]: got inf"),
        ("softmax+cross_entropy", np.where(CLASSES == 3, 2.0**33, CLASSES), ROWS, None, r"y_true\[5\]: got 8.58993"),
        ("softmax+cross_entropy", SHARES * 2, ROWS, None, r"y_true"),
        ("softmax+cross_entropy", np.where(np.arange(5) == 1, -1.0, np.eye(5)[WORDS]), SEQUENCE, None,
         r"y_true\[0, 0, 1\]: got -1"),
        ("softmax+cross_entropy", CLASSES[:3], ROWS, None, r"y_true: .*\(6,\) or \(6, 1\), or probabilities"),
        ("softmax+cross_entropy", CLASSES, ROWS[:, :1], None, "y_pred: .*sigmoid.cross_entropy"),
        ("softmax+cross_entropy", 0, ROWS[0], None, "y_pred: "),
        ("softmax+cross_entropy", CLASSES, SHARES, None, "y_pred: .*rows that add up to 1.*Prediction"),
        ("class_scores+crammer_singer", SHARES, ROWS, None, "y_true"),
        ("sigmoid+cross_entropy", 2 * np.ones((6, 5)), ROWS, None, r"y_true\[0, 0\]: got 2"),
        ("exp+poisson", -np.ones((6, 5)), ROWS, None, r"y_true\[0, 0\]: got -1"),
        ("identity+mse", CLASSES, ROWS, None, "y_true: .*never broadcast"),
        ("identity+mse", CLASSES[None, :, None], ROWS[:, :1], None, "y_true: .*never broadcast"),
        ("identity_exp+gaussian", CLASSES, ROWS, None, "y_pred: .*two scores"),
        ("identity_exp+gaussian", ROWS[:, :2], ROWS[:, :2], None, "y_true: .*targets of shape"),
        ("softmax+cross_entropy", WORDS[:, :3], SEQUENCE[:, :3], np.ones(3), r"sample_weight: .*\[:, None\]"),
        ("identity+mse", SHARES[:5], ROWS[:5], np.ones((5, 5)), "sample_weight: "),
    ],
)  # fmt: skip
def test_what_a_loss_refuses(pair, y, z, weight, message):
    with pytest.raises(CostLayerError, match=message):
        CostLayerLoss(pair)(y, z, weight)


@pytest.mark.parametrize("weight", [np.ones((6, 1)), np.ones((1,)), 2.0])
def test_weights_that_are_none_of_those_go_through(weight):
    loss = CostLayerLoss("identity+mse")
    assert float(loss(SHARES, ROWS, weight)) == pytest.approx(float(loss(SHARES, ROWS)) * np.mean(weight), rel=1e-6)


def test_weights_of_samples_of_one_step():
    z, y = ROWS[:, None], CLASSES[:, None]
    loss = CostLayerLoss("softmax+cross_entropy")
    assert float(loss(y, z, WEIGHTS)) == pytest.approx(float(loss(CLASSES, ROWS, WEIGHTS)), rel=1e-6)


def model(*last, width=5):
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(8, activation="relu")
    return keras.Sequential([keras.layers.Input((3,)), dense, *(last or [keras.layers.Dense(width)])])


X = DRAW.normal(size=(64, 3)).astype("float32")
Y = DRAW.integers(0, 5, 64)


@pytest.fixture
def half():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def stays_as_it_is(network, y):
    """Its losses are NaN, and training moves no weight."""
    before = copy.deepcopy(network.get_weights())
    assert np.isnan(network.fit(X, y, verbose=0).history["loss"]).all()
    for now, then in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_model_that_ends_in_probabilities_is_refused(activation, eagerly):
    """On JAX, what a softmax gives is refused where numbers are to be had, and NaN where not; and what a sigmoid gives
    where not."""
    network = model(keras.layers.Dense(5, activation=activation))
    network.compile("sgd", CostLayerLoss(f"{activation}+cross_entropy"), run_eagerly=eagerly)
    y = Y if activation == "softmax" else np.eye(5)[Y]
    if BACKEND == "torch" or eagerly == (activation == "softmax"):
        with pytest.raises(ValueError, match=r"y_pred: got .*probabilities.*; expected scores"):
            network.fit(X, y, verbose=0)
    elif activation == "softmax":
        stays_as_it_is(network, y)


def test_probabilities_of_sixteen_bits_are_no_scores_either(half):
    network = model(keras.layers.Dense(5, activation="softmax"))
    if BACKEND == "jax":
        network.compile("sgd", CostLayerLoss("softmax+cross_entropy"))
        stays_as_it_is(network, Y)
    found = np.asarray(keras.ops.convert_to_numpy(ops.cast(network(X), "float32")))
    with pytest.raises(CostLayerError, match="rows that add up to 1"):
        CostLayerLoss("softmax+cross_entropy")(Y, ops.cast(found, "bfloat16"))


@pytest.mark.parametrize("pair", ["sigmoid+cross_entropy", "softmax+cross_entropy", "exp+poisson", "ordinal+coral"])
def test_a_model_to_serve_is_not_one_to_train(pair):
    served = keras.Sequential([model(), Prediction(pair)])
    served.compile("sgd", CostLayerLoss(pair))
    with pytest.raises(ValueError, match=r"y_pred: got what Prediction has already made"):
        served.fit(X, Y if cl.pair(pair).row else np.eye(5)[Y], verbose=0)


@pytest.mark.parametrize("pair", ["sparsemax+fenchel_young", "exp+poisson"])
def test_scores_may_add_up_to_1_where_they_are_no_probabilities(pair):
    """The constant of sparsemax does, and rates may start from a sigmoid."""
    last = keras.layers.Dense(5, kernel_initializer="zeros", activation="sigmoid" if pair == "exp+poisson" else None)
    network = model(last)
    last.bias.assign(np.log([0.1, 0.1, 0.2, 0.2, 0.4]) if pair == "exp+poisson" else [0.1, 0.1, 0.2, 0.2, 0.4])
    network.compile("sgd", CostLayerLoss(pair))
    assert np.isfinite(network.fit(X, np.eye(5)[Y], verbose=0).history["loss"]).all()


def test_a_brier_score_may_have_probabilities():
    network = model(keras.layers.Dense(5, activation="softmax"))
    network.compile("sgd", CostLayerLoss("identity+mse"))
    assert np.isfinite(network.fit(X, np.eye(5)[Y], verbose=0).history["loss"]).all()


def test_a_wrong_label_in_fit():
    network = model()
    network.compile("sgd", CostLayerLoss("softmax+cross_entropy"))
    wrong = np.where(np.arange(64) == 3, 7, Y)
    if BACKEND == "torch":
        with pytest.raises(CostLayerError, match=r"y_true\[3\]: got class 7; expected a class from 0 to 4"):
            network.fit(X, wrong, shuffle=False, verbose=0)


def test_wrong_labels_in_a_compiled_function():
    """The costs of their rows are NaN, and nothing moves by them."""
    wrong = CLASSES.astype("float32")
    wrong[:4] = 7, -1, 0.5, np.nan
    loss = CostLayerLoss("softmax+cross_entropy", ignore_class=-1, reduction=None)
    total = CostLayerLoss("softmax+cross_entropy", ignore_class=-1, reduction="sum")
    _, slope = value_and_gradient(CostLayerLoss("softmax+cross_entropy", reduction="sum"), CLASSES, ROWS)
    if BACKEND == "torch":
        import torch

        z = torch.tensor(ROWS, requires_grad=True)
        each = numbers(torch.compile(loss, backend="eager")(torch.tensor(wrong), z))
        torch.compile(total, backend="eager")(torch.tensor(wrong), z).backward()
        found = numbers(z.grad)
    else:
        import jax

        each = numbers(jax.jit(loss)(wrong, ROWS))
        found = numbers(jax.jit(jax.grad(lambda z: total(wrong, z)))(ROWS))
    np.testing.assert_array_equal(np.isnan(each), [True, False, True, True, False, False])
    assert each[1] == 0.0  # as it is to be ignored
    np.testing.assert_allclose(found[4:], slope[4:], rtol=1e-5)
    assert not found[:4].any()


# ------------------------------------------------------------------------------------------------------- in models


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"class_weight": {0: 1.0, 1: 5.0, 2: 0.0, 3: 1.0, 4: 0.5}},
        {"sample_weight": np.linspace(0, 2, 64)},
    ],
    ids=["plain", "class_weight", "sample_weight"],
)
def test_training_goes_as_with_kerass_own(weights):
    """Step by step, in float32, with all that `fit` does to weights on the way."""
    histories = []
    for loss in CostLayerLoss("softmax+cross_entropy"), losses.SparseCategoricalCrossentropy(from_logits=True):
        network = model()
        network.compile("sgd", loss)
        found = network.fit(X, Y, epochs=2, shuffle=False, verbose=0, validation_data=(X, Y), **weights).history
        histories.append(np.array([found["loss"], found["val_loss"]]))
    np.testing.assert_allclose(*histories, rtol=1e-5)


def test_masked_steps_count_as_with_kerass_own():
    words = np.array([[1, 2, 0, 0], [3, 1, 2, 0]])  # 0 is no word
    y = np.array([[1, 0, 0, 0], [2, 1, 4, 0]])
    found = []
    for loss in CostLayerLoss("softmax+cross_entropy"), losses.SparseCategoricalCrossentropy(from_logits=True):
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.layers.Embedding(4, 6, mask_zero=True), keras.layers.Dense(5)])
        network.compile("sgd", loss)
        found.append(network.evaluate(words, y, verbose=0))
    each = numbers(CostLayerLoss("softmax+cross_entropy", reduction=None)(y, network(words)))
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[0] == pytest.approx(each[words > 0].sum() / 5, rel=1e-6)


def test_a_compiled_step(quick_compiler):
    found = []
    for compiled in True, False:
        network = model()
        network.compile("sgd", CostLayerLoss("softmax+cross_entropy"), jit_compile=compiled, run_eagerly=not compiled)
        found.append(network.fit(X, Y, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_under_mixed_precision_the_cost_is_single(half):
    network = model()
    loss = CostLayerLoss("softmax+cross_entropy")
    network.compile("sgd", loss)
    assert keras.backend.standardize_dtype(network(X).dtype) == "bfloat16"
    z = numbers(ops.cast(network(X), "float32"))
    exact = cl.value("softmax+cross_entropy", z.astype(np.float64), Y)
    assert network.evaluate(X, Y, batch_size=64, verbose=0) == pytest.approx(exact, rel=1e-6)
    assert np.isfinite(network.fit(X, Y, verbose=0).history["loss"]).all()


def test_a_loss_has_its_type():
    before = keras.config.floatx()
    keras.config.set_floatx("bfloat16")
    try:
        assert CostLayerLoss("identity+mse").dtype == "float32"
    finally:
        keras.config.set_floatx(before)
    double = CostLayerLoss("identity+mse", dtype="float64")
    assert CostLayerLoss.from_config(double.get_config()).dtype == "float64"


@pytest.mark.parametrize(
    "loss",
    [
        {"pair": "softmax+cross_entropy", "label_smoothing": 0.1, "name": "cost", "reduction": "sum"},
        {"pair": "softmax+focal", "gamma": 1.5, "ignore_class": 3},
        {"pair": "ordinal+coral"},
        {"pair": "identity+quartic", "scale": 2.0},
    ],
    ids=lambda loss: loss["pair"],
)
def test_a_saved_model_trains_on_where_it_stopped(loss, tmp_path):
    cl.register(QUARTIC)
    loss = CostLayerLoss(**loss)
    network = model(width=4 if loss.pair.activation.thresholds else 5)
    network.compile("adam", loss)
    y = Y if loss.pair.row else np.eye(5)[Y]
    network.fit(X, y, epochs=2, shuffle=False, verbose=0)
    network.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == loss.get_config()
    assert again.loss.pair == loss.pair
    assert again.evaluate(X, y, verbose=0) == network.evaluate(X, y, verbose=0)
    ours, theirs = (each.fit(X, y, epochs=2, shuffle=False, verbose=0).history["loss"] for each in (network, again))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert theirs[1] < theirs[0]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))])
def test_a_loss_is_copied(copied):
    loss = CostLayerLoss("identity+huber", delta=0.3)
    assert float(copied(loss)(SHARES, ROWS)) == float(loss(SHARES, ROWS))


@pytest.mark.parametrize(
    "pair", ["softmax+cross_entropy", "sigmoid+cross_entropy", "identity_exp+gaussian", "exp+poisson"]
)
@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_predictions(pair, shape):
    pair = cl.pair(pair)
    z = DRAW.normal(size=(*shape, 2 if pair.two else 5)).astype("float32")
    found = numbers(Prediction(pair)(z))
    expected = cl.predict(pair, z.reshape(-1, z.shape[-1])).reshape(z.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter that Keras takes
def test_a_model_to_serve(tmp_path):
    network = model()
    served = keras.Sequential([network, Prediction("sparsemax+fenchel_young")])
    found = served.predict(X, verbose=0)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)
    assert (found == 0).any()  # as no softmax has it
    assert served.predict(np.ones((1, 3)), verbose=0).shape == (1, 5)
    served.save(tmp_path / "served.keras")
    again = keras.saving.load_model(tmp_path / "served.keras")
    assert again.layers[-1].pair == served.layers[-1].pair
    np.testing.assert_array_equal(again.predict(X, verbose=0), found)
    if BACKEND == "torch":  # Keras's other way to ONNX goes by TensorFlow
        import onnxruntime

        served.export(tmp_path / "served.onnx", format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(tmp_path / "served.onnx")
        (exported,) = session.run(None, {session.get_inputs()[0].name: X})
        np.testing.assert_allclose(exported, found, rtol=1e-5, atol=1e-6)
    assert keras.layers.TimeDistributed(Prediction("softmax+cross_entropy"))(keras.Input((4, 3))).shape == (None, 4, 3)
    with pytest.raises(ValueError, match="two scores for each target"):
        Prediction("identity_exp+gaussian")(keras.Input((3,)))
    functional = keras.Model(network.inputs, Prediction(build("identity+huber", {"delta": 2.0}))(network.outputs[0]))
    assert functional.output_shape == (None, 5)
    assert functional.layers[-1].get_config()["pair"] == "identity+huber:delta=2.0"
    assert read_pair("identity+huber:delta=2.0").parameters["delta"] == 2.0


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "keras.md").read_text(encoding="utf-8")
    parts = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(parts) > 3
    exec("\n".join(parts), {})


def test_the_example_learns(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    import keras_training

    accuracy, cost = keras_training.main(epochs=6)
    assert accuracy > 0.9
    assert cost < 0.4
