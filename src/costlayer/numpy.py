"""The NumPy front: values, gradients, curvatures and predictions, arrays in and arrays out.

Shapes, weights, ignored targets and reductions are described in `costlayer.evaluate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from costlayer.catalogue import pair as as_pair
from costlayer.evaluate import Reduction, evaluate, predict_and_gain, scores
from costlayer.pair import Pair
from costlayer.scores import Options

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def value(
    pair: str | Pair,
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    **options: Unpack[Options],
):
    """How wrong the predictions are: `ℓ(φ(z), y)`.

    Arguments:
        pair: a pair or its name.
        z: raw scores, float32 or float64 (float16 is computed in float32; integers in float64).
        y: targets; shapes as `costlayer.evaluate` says.
        weight: per example, 0 or more.
        reduction: "mean", "sum", "none" or "weighted_mean".
        options: on the scores of classes: `temperature`, `softcap`, `logit_adjustment` and `z_loss`.

    Returns a float64, or with "none" an array in the shape of the examples and the type of `z`.
    Errors: `InvalidValue` or `InvalidType`, with the first offending index and value.

    >>> import numpy as np
    >>> float(value("sigmoid+cross_entropy", np.array([0.0, 50.0]), np.array([1.0, 1.0]), reduction="sum"))
    0.6931471805599453
    >>> z = np.array([2 * np.log(3.0), 0.0])
    >>> round(float(value("softmax+cross_entropy", z, np.array(0), temperature=2.0)), 4)  # ln 4/3
    0.2877
    """
    return evaluate(as_pair(pair), z, y, weight, reduction=reduction, delta=False, **options).value


def value_and_delta(
    pair: str | Pair,
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    **options: Unpack[Options],
) -> tuple[Any, NDArray]:
    """The value and its exact gradient by the scores, in one pass; arguments and errors as for `value`.

    Returns the value and δ, an array in the shape and type of `z` (float32 for float16, float64 for integers).

    >>> import numpy as np
    >>> total, delta = value_and_delta("identity+mse", np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    >>> float(total), delta
    (2.0, array([0., 2.]))
    """
    result = evaluate(as_pair(pair), z, y, weight, reduction=reduction, **options)
    return result.value, result.delta


def curvature(
    pair: str | Pair,
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "none",
    **options: Unpack[Options],
) -> NDArray:
    """The second derivative of the value by each score (for row pairs the diagonal), in the shape and type of δ.

    Arguments and errors as for `value`; nothing is averaged unless a `reduction` asks for it.

    >>> import numpy as np
    >>> curvature("sigmoid+cross_entropy", np.array([0.0]), np.array([1.0]))
    array([0.25])
    """
    found = evaluate(as_pair(pair), z, y, weight, reduction=reduction, delta=False, curvature=True, **options)
    return found.curvature


def predict(pair: str | Pair, z: ArrayLike, *, temperature: float = 1.0, softcap: float | None = None) -> NDArray:
    """The predictions `φ(z)`, in the shape and type of `z`; of classes with the options that predictions know.

    >>> import numpy as np
    >>> predict("softmax+cross_entropy", np.array([[1.0, 1.0, 1.0, 1.0]]))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    given: Options = {"temperature": temperature, "softcap": softcap}
    return predict_and_gain(as_pair(pair), scores(z), with_gain=False, **given)[0]
