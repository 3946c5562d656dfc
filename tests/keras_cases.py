"""The Keras front under the back end that KERAS_BACKEND names: tests/test_keras.py runs these under each."""

import os
import pickle

import keras
import numpy as np
import pytest
from keras import losses as theirs
from sklearn.datasets import load_digits

import costlayer as cl
from costlayer.errors import InvalidType, InvalidValue
from costlayer.keras import CostLayerLoss, Prediction

# Keras hands arrays of its back ends to NumPy 2 by the protocol of NumPy 1
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:.*starves the network:costlayer.errors.SaturationWarning",
)

BACK_END = os.environ["KERAS_BACKEND"]
RANDOM = np.random.default_rng(0)
Z = RANDOM.normal(size=(20, 4)).astype("float32")
CLASS, SHARE, YES = RANDOM.integers(0, 4, 20), RANDOM.dirichlet(np.ones(4), 20).astype("float32"), Z[::-1] > 0
POSITIVE, WEIGHT = np.exp(Z[::-1]), RANDOM.random(20).astype("float32")


def test_the_back_end_is_the_one_that_is_meant():
    assert keras.config.backend() == BACK_END


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", None, "mean_with_sample_weight"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("pair", "other", "y"),
    [
        ("softmax+cross_entropy", lambda r: theirs.SparseCategoricalCrossentropy(from_logits=True, reduction=r), CLASS),
        ("softmax+cross_entropy", lambda r: theirs.CategoricalCrossentropy(from_logits=True, reduction=r), SHARE),
        ("sigmoid+cross_entropy", lambda r: theirs.BinaryCrossentropy(from_logits=True, reduction=r), YES),
        ("identity+mse", lambda r: theirs.MeanSquaredError(reduction=r), POSITIVE),
        ("identity+huber", lambda r: theirs.Huber(reduction=r), POSITIVE),
        ("identity+hinge", lambda r: theirs.Hinge(reduction=r), 2.0 * YES - 1),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_values_are_those_of_keras(pair, other, y, weight, reduction):
    ours = CostLayerLoss(pair, reduction=reduction)(y, Z, weight)
    np.testing.assert_allclose(_numbers(ours), _numbers(other(reduction)(y, Z, weight)), rtol=2e-6)


def _numbers(x):
    return np.asarray(keras.ops.convert_to_numpy(x))


@pytest.mark.parametrize(
    ("pair", "z", "y", "given"),
    [
        ("exp+poisson", Z[:, 0], POSITIVE[:, 0], None),
        ("softmax+gce", Z, CLASS[:, None], (Z, CLASS)),
        ("identity_exp+gaussian", Z[:, :2], Z[:, 3], None),
        ("ordinal+coral", Z, CLASS, None),
        ("ordinal+coral", Z[:, :1], CLASS[:, None] % 2, (Z[:, :1], CLASS % 2)),
        ("sparsemax+fenchel_young", Z, CLASS, None),
        ("sigmoid+focal", Z[:, :1], YES[:, 0], (Z[:, 0], YES[:, 0] + 0.0)),
    ],
)
def test_each_sample_has_the_value_that_numpy_gives(pair, z, y, given):
    found = _numbers(CostLayerLoss(pair, reduction=None)(y, z))
    np.testing.assert_allclose(found, cl.value(pair, *(given or (z, y)), None, "none"), rtol=1e-5)


def test_classes_lie_along_the_last_axis():
    z, y = Z.reshape(4, 5, 4), CLASS.reshape(4, 5)
    found = _numbers(CostLayerLoss("softmax+cross_entropy", reduction=None)(y, z))
    np.testing.assert_allclose(
        found, cl.value("softmax+cross_entropy", Z, CLASS, None, "none").reshape(4, 5), rtol=1e-6
    )
    v = _numbers(Prediction("softmax+cross_entropy")(z))
    np.testing.assert_allclose(v, cl.predict("softmax+cross_entropy", Z).reshape(z.shape), rtol=1e-6)


def test_ignored_classes_do_no_harm_and_do_not_count():
    z, y = Z.copy(), CLASS.copy()
    y[:7], z[:3] = -100, np.nan
    ours = CostLayerLoss("softmax+cross_entropy", ignore_class=-100, label_smoothing=0.1)
    left = cl.value("softmax+cross_entropy", Z[7:], CLASS[7:].astype(int), None, "none")
    uniform = np.stack([cl.value("softmax+cross_entropy", Z[7:], np.full(13, k), None, "none") for k in range(4)])
    assert float(ours(y, z)) == pytest.approx(float((0.9 * left + 0.1 * uniform.mean(0)).mean()), rel=1e-5)
    assert not _numbers(_gradient(ours, y, z))[:7].any()


def _gradient(loss, y, z):
    if BACK_END == "torch":
        import torch

        scores = torch.tensor(z, requires_grad=True)
        loss(y, scores).backward()
        return scores.grad
    import jax

    return jax.jit(jax.grad(lambda scores: loss(y, scores)))(z)


@pytest.mark.parametrize(
    ("pair", "y"), [("softmax+cross_entropy", CLASS), ("sigmoid+cross_entropy", YES), ("exp+poisson", POSITIVE)]
)
def test_gradients_are_exact_where_the_network_is_sure(pair, y):
    z = (30 * Z).astype("float32")
    found = _numbers(_gradient(CostLayerLoss(pair), y, z))
    target = y.astype("int64") if y.ndim == 1 else y.astype("float64")
    np.testing.assert_allclose(found, cl.value_and_delta(pair, z.astype("float64"), target)[1], 2e-5, 1e-37)


def test_sixteen_bits_are_computed_in_float32():
    scores = keras.ops.cast(Z, "bfloat16")
    found = CostLayerLoss("softmax+cross_entropy")(CLASS, scores)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    rounded = _numbers(keras.ops.cast(scores, "float32"))
    assert float(found) == pytest.approx(float(cl.value("softmax+cross_entropy", rounded, CLASS)), rel=1e-6)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype("float32"), y


def _model(loss, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss, metrics=["sparse_categorical_accuracy"], **options)
    return model


def test_a_model_learns_is_saved_and_learns_on(digits, tmp_path):
    x, y = digits
    model = _model(CostLayerLoss("softmax+focal", gamma=1.0))
    model.fit(x, y, epochs=4, verbose=0)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert accuracy > 0.9
    z = model.predict(x, verbose=0).astype("float64")
    assert loss == pytest.approx(float(cl.value(cl.pair("softmax+focal", gamma=1.0), z, y)), rel=1e-4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.pair == model.loss.pair
    assert again.evaluate(x, y, verbose=0) == pytest.approx([loss, accuracy], rel=1e-6)
    again.fit(x, y, epochs=1, verbose=0)
    served = keras.Sequential([model, Prediction(model.loss.pair)])
    p = served.predict(x, verbose=0)
    np.testing.assert_allclose(p, cl.predict(model.loss.pair, z), rtol=1e-4, atol=1e-7)
    served.save(tmp_path / "served.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "served.keras").predict(x, verbose=0), p)


@pytest.mark.parametrize("compiled", [False, True])
def test_weights_count_in_training_as_keras_counts_them(digits, compiled):
    if compiled and BACK_END == "torch":
        pytest.skip("compiling takes longer than the test is worth; tests/torch compiles the layer")
    x, y = digits[0][:200], digits[1][:200]
    weight = np.linspace(0.0, 2.0, 200).astype("float32")
    ours, other = (
        _model(loss, jit_compile=compiled)
        for loss in (CostLayerLoss("softmax+cross_entropy"), theirs.SparseCategoricalCrossentropy(from_logits=True))
    )
    for model in (ours, other):
        model.fit(x, y, sample_weight=weight, epochs=2, batch_size=50, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_masks_leave_out_what_they_hide():
    z = keras.ops.convert_to_tensor(Z.reshape(4, 5, 4))
    mask = np.arange(20).reshape(4, 5) % 3 > 0
    layer = keras.layers.Masking(-7.0)
    hidden = layer(keras.ops.where(mask[..., None], z, -7.0))
    found = CostLayerLoss("softmax+cross_entropy")(CLASS.reshape(4, 5), hidden)
    left = cl.value("softmax+cross_entropy", Z[mask.ravel()], CLASS[mask.ravel()])
    assert float(found) == pytest.approx(float(left), rel=1e-5)


def test_configurations_make_the_same_loss_again():
    loss = CostLayerLoss("identity+huber", delta=2.5, name="mine", reduction="sum")
    for again in (
        keras.losses.deserialize(keras.losses.serialize(loss)),
        CostLayerLoss.from_config(loss.get_config()),
        pickle.loads(pickle.dumps(loss)),
    ):
        assert again.get_config() == loss.get_config()
        assert float(again(POSITIVE, Z)) == float(loss(POSITIVE, Z))


@pytest.mark.parametrize(
    ("pair", "options", "y", "z", "said"),
    [
        ("softmax+cross_entropy", {}, CLASS + 3, Z, r"y_true\[\d+\]: got class [456]; expected a class from 0 to 3"),
        ("softmax+cross_entropy", {}, CLASS + 0.5, Z, r"y_true\[0\]: got .*a whole number"),
        ("softmax+cross_entropy", {}, CLASS.reshape(4, 5) + 3, Z.reshape(4, 5, 4), r"y_true\[0, \d\]: got class"),
        ("softmax+cross_entropy", {}, CLASS, SHARE, "y_pred: got rows that add up to 1.*Dense"),
        ("softmax+cross_entropy", {}, CLASS[:5], Z, "y_true: got shape .*expected"),
        ("softmax+cross_entropy", {}, CLASS, Z[:, 0], "y_pred: got shape"),
        ("sigmoid+cross_entropy", {}, YES[:, 0], Z, "y_true: got shape .*not broadcast"),
        ("sigmoid+cross_entropy", {}, 2.0 + YES, Z, r"y_true\[0, \d\]: got .*expected a target in \[0, 1\]"),
        ("identity_exp+gaussian", {}, CLASS, Z, "y_pred: got shape .*both of each target"),
        ("sigmoid+cross_entropy", {"ignore_class": -1}, YES, Z, "ignore_class: got .*sample_weight"),
        ("sofmax+cross_entropy", {}, CLASS, Z, "pair: got .*Did you mean"),
    ],
)
def test_a_wrong_use_is_said_in_the_terms_of_keras(pair, options, y, z, said):
    with pytest.raises((InvalidValue, InvalidType), match=f"^{said}"):
        CostLayerLoss(pair, **options)(y, z)


def test_a_model_that_ends_in_an_activation(digits):
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, "softmax")])
    loss = CostLayerLoss("softmax+cross_entropy")
    with pytest.raises(InvalidType, match="Let the model end in Dense"):
        loss(digits[1][:50], model(digits[0][:50]))
    if BACK_END == "torch":
        model.compile(loss=loss)
        with pytest.raises(InvalidType, match="Let the model end in Dense"):
            model.fit(*digits, verbose=0)


@pytest.mark.skipif(BACK_END != "jax", reason="torch looks at every label")
def test_a_wrong_label_in_a_compiled_function_gives_nan():
    import jax

    loss = CostLayerLoss("softmax+cross_entropy")
    for wrong in (CLASS + 3.0, CLASS + 0.5, CLASS - 5.0):
        assert np.isnan(float(jax.jit(loss)(wrong, Z)))


def test_the_example_learns_and_says_so(capsys):
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import keras_training as example

    accuracy, cost = example.main()
    assert accuracy > 0.95
    assert cost < 0.2
    assert capsys.readouterr().out.startswith(f"held out: accuracy {accuracy:.3f}, mean cost {cost:.4f}; sure by 0.9")


def test_the_page_runs(tmp_path, monkeypatch):
    import re
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[1] / "docs" / "keras.md"
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
