"""The estimators: a multi-layer perceptron whose last layer is a pair, chosen for the target or named."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data
from torch import nn

import costlayer as cl
from costlayer.catalogue import read_pair, write_pair
from costlayer.errors import CostLayerError, InvalidType, InvalidValue
from costlayer.files import write_whole
from costlayer.pair import Pair
from costlayer.sklearn.encoding import CLASS_KINDS, Encoding
from costlayer.sklearn.network import ACTIVATIONS, build, shapes
from costlayer.sklearn.serving import Served
from costlayer.sklearn.training import OPTIMIZERS, Rows, Training, device, one_of, optimizer, scores, threads

_FORMAT = 1
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    ArithmeticError,
    AttributeError,
    IndexError,
    MemoryError,
    RuntimeError,
    StopIteration,
    SafetensorError,
)
_COUNTS = ("max_iter", "batch_size", "n_iter_no_change")


class _CostLayerEstimator(BaseEstimator):
    """What classifier and regressor share."""

    feature_names_in_: np.ndarray

    def __init__(
        self,
        pair: str | Pair = "auto",
        *,
        hidden_layer_sizes=(64, 64),
        activation: str = "relu",
        solver: str = "adam",
        alpha: float | None = None,
        batch_size: int = 64,
        learning_rate_init: float | None = None,
        max_iter: int = 100,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        random_state=None,
        n_jobs: int | None = None,
        accelerator: str = "cpu",
        precision: str = "32-true",
        callback: Callable[[dict[str, Any]], Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.pair = pair
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.accelerator = accelerator
        self.precision = precision
        self.callback = callback
        self.verbose = verbose

    # --- fitting -------------------------------------------------------------------------------------------

    def fit(self, X, y, sample_weight=None) -> Self:
        """Train the network.

        Arguments:
            X: features (N, F): an array, a SciPy sparse array, a pandas or polars data frame of numbers.
            y: the target, as the class says.
            sample_weight: (N,), 0 or more; rows of weight 0 are left out.

        An interruption (Ctrl-C) leaves a fitted estimator, with the weights that it had come to.
        """
        self._check()
        device(self.accelerator, self.precision)
        with self._or_as_before():
            if not (self.warm_start and hasattr(self, "network_")):
                self._forget()
            x, y, weight = _counted(*self._read(X, y, sample_weight))
            held = None
            if self.early_stopping:
                x, held_x, y, held_y, weight, held_weight = self._split(x, y, weight)
                held = held_x, held_y, held_weight
            training = self.training(x, y, weight, validation=held)
        self._run(training)
        return self

    def _partial_fit(self, X, y, sample_weight, classes=None) -> Self:
        self._check()
        device(self.accelerator, self.precision)
        with self._or_as_before():
            training = self.training(*_counted(*self._read(X, y, sample_weight, classes)), epochs=1)
        self._run(training)
        return self

    @contextmanager
    def _or_as_before(self) -> Iterator[None]:
        """What is refused leaves the estimator as it was."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def training(
        self,
        x: Any,
        y: np.ndarray,
        weight: np.ndarray | None = None,
        *,
        validation: tuple[Any, np.ndarray, np.ndarray | None] | None = None,
        encoding: Encoding | None = None,
        epochs: int | None = None,
        kind: type[Training] = Training,
        **more: Any,
    ) -> Training:
        """A training that is about to begin, or to go on where the last one ended, for those who step through it
        themselves; `take` makes its network the estimator's.

        Arguments:
            x, y, weight: rows of numbers, classes by their index.
            validation: more of them, whose cost says which weights are the best.
            encoding: the target as the pair sees it, where that is known.
            epochs: how many; `max_iter` when not given.
            kind, more: of training, and what else it is to be given.
        """
        if not hasattr(self, "network_"):
            self._begin(x, y, weight, encoding, y if validation is None else np.concatenate([y, validation[1]]))
        self._check_as_begun()
        network, fabric = self.network_, device(self.accelerator, self.precision)
        method = optimizer(self.solver, network, self.learning_rate_init, self.alpha)
        if self._optimizer_state is not None:
            now = [{name: group[name] for name in ("lr", "weight_decay")} for group in method.param_groups]
            method.load_state_dict(self._optimizer_state)
            for group, given in zip(method.param_groups, now, strict=True):  # which may have been set since
                group.update(given)
        options = {
            "seed": self._seed,
            "batch_size": self.batch_size,
            "epoch": self.n_iter_,
            "epochs": self.n_iter_ + (epochs or self.max_iter),
            "patience": self.n_iter_no_change if validation is not None else None,
            **more,
        }
        held = None if validation is None else Rows(*validation)
        return kind(fabric, network, method, self.pair_, self.encoding_, Rows(x, y, weight), held, **options)

    def take(self, training: Training) -> None:
        """Make the network of a training, with its best weights, the estimator's."""
        training.restore_best()
        self.network_ = training.module.cpu()
        self.n_iter_ = training.epoch if training.stopped else max(training.epoch - 1, 0)
        self.best_iter_ = training.best_epoch if training.validation is not None else self.n_iter_
        self._optimizer_state = training.optimizer.state_dict()

    def _begin(
        self, x: Any, y: np.ndarray, weight: np.ndarray | None, encoding: Encoding | None, every: np.ndarray
    ) -> None:
        """Choose the pair, look at the target, those held out too, and draw the first weights."""
        if encoding is None:
            self.advice_, self.pair_, self.encoding_ = self._choose(y, weight, every)
        else:
            self.advice_, self.pair_, self.encoding_ = None, read_pair(encoding.pair), encoding
            self.n_features_in_ = x.shape[1]
            if encoding.classes:
                self.classes_ = np.arange(encoding.classes)
        random = self.random_state
        self._seed = int(random) if isinstance(random, Integral) else int(check_random_state(random).randint(1 << 31))
        network = build(x.shape[1], self._widths(), self.activation, self.encoding_.outputs, self._seed)
        network = network.double() if self.precision == "64-true" else network
        wanted, classes = self.encoding_.encode(y, np.float64), self.encoding_.classes or None
        start = cl.constant(self.pair_, wanted, weight, classes if self.pair_.row else None)
        with torch.no_grad():
            network[-1].bias.copy_(torch.as_tensor(start))  # pyright: ignore[reportArgumentType, reportCallIssue]
        self.network_ = network
        self._begun = self._settled()
        self.n_iter_ = self.best_iter_ = 0
        self.history_: list[dict[str, Any]] = []
        self._optimizer_state = None

    def _settled(self) -> dict[str, Any]:
        """What a network cannot have otherwise once it has begun."""
        pair = self.pair if isinstance(self.pair, str) else write_pair(self.pair)
        settled = {"pair": pair, "hidden_layer_sizes": self._widths()}
        return settled | {name: getattr(self, name) for name in ("activation", "solver", "precision")}

    def _check_as_begun(self) -> None:
        now = self._settled()
        for name, before in self._begun.items():
            if now[name] != before:
                fix = "Fit anew with warm_start=False, or a clone of it."
                raise InvalidValue(name, repr(now[name]), f"{before!r}, as the network began with", fix)

    def _run(self, training: Training) -> None:
        """Train to the end, or until the callback or the user says stop."""
        try:
            with threads(self.network_, self.batch_size, self.n_jobs):
                while not training.finished:
                    if record := training.advance():
                        self.history_.append(record)
                        if self.verbose:
                            print(_line(record, training.epochs))
                        if self.callback is not None and self.callback(dict(record)) and not training.finished:
                            training.stopped, training.epoch = "callback", record["epoch"]
        finally:
            self.take(training)
        if not all(bool(each.isfinite().all()) for each in self.network_.parameters()):
            raise self._diverged("left no finite weights")
        if training.diverged:
            warnings.warn(str(self._diverged("went beyond all numbers")), ConvergenceWarning, stacklevel=3)

    def _diverged(self, how: str) -> InvalidValue:
        rate = OPTIMIZERS[self.solver][2] if self.learning_rate_init is None else self.learning_rate_init
        return InvalidValue(
            "learning_rate_init",
            f"a training with {self.solver} at the rate {rate:g} that {how}",
            "one that stays finite",
            "Scale the features, as sklearn.preprocessing.StandardScaler does, or take a smaller rate.",
        )

    def _forget(self) -> None:
        for name in [
            name for name in vars(self) if name.endswith("_") or name in ("_seed", "_optimizer_state", "_begun")
        ]:
            delattr(self, name)

    def _check(self) -> None:
        """Refuse parameters that are none."""
        for name in _COUNTS:
            given = getattr(self, name)
            if not _is_number(given, Integral) or int(given) < 1:
                raise InvalidValue(name, repr(given), "a whole number of at least 1")
        jobs, random = self.n_jobs, self.random_state
        if jobs is not None and (not _is_number(jobs, Integral) or jobs == 0):
            raise InvalidValue("n_jobs", repr(jobs), "None, or a whole number that is not 0")
        if isinstance(random, Integral):
            if random < 0:
                raise InvalidValue("random_state", repr(random), "a whole number of at least 0")
        else:
            check_random_state(random)
        for name in ("learning_rate_init", "alpha"):
            given = getattr(self, name)
            if given is not None and not (_is_number(given) and 0.0 <= given < np.inf):
                raise InvalidValue(name, repr(given), "a number of at least 0, or None for the solver's usual one")
        fraction = self.validation_fraction
        if not (_is_number(fraction) and 0.0 < fraction < 1.0):
            raise InvalidValue("validation_fraction", repr(fraction), "a number between 0 and 1")
        if self.callback is not None and not callable(self.callback):
            raise InvalidType("callback", repr(self.callback), "a function of an epoch's record, or None")
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("solver", self.solver, OPTIMIZERS)
        self._widths()

    def _widths(self) -> list[int]:
        given = self.hidden_layer_sizes
        widths = list(given) if isinstance(given, (tuple, list, np.ndarray)) else [given]
        if not all(isinstance(width, Integral) and int(width) >= 1 for width in widths):
            raise InvalidValue("hidden_layer_sizes", repr(given), "widths of at least 1", "For example: (128, 64).")
        return [int(width) for width in widths]

    def _named(self) -> Pair:
        """The pair that is named."""
        if isinstance(self.pair, Pair):
            return self.pair
        if not isinstance(self.pair, str):
            raise InvalidType("pair", repr(self.pair), "'auto', a pair or its name", "costlayer.pairs() lists them.")
        return cl.pair(read_pair(self.pair))

    @property
    def _dtype(self):
        return np.float64 if self.precision == "64-true" else np.float32

    def _features(self, X, reset: bool, **given) -> Any:
        return validate_data(self, X, **given, accept_sparse="csr", dtype=self._dtype, reset=reset)

    def _read(self, X, y, sample_weight, classes=None) -> tuple[Any, np.ndarray, np.ndarray | None]:
        raise NotImplementedError

    def _choose(
        self, y: np.ndarray, weight: np.ndarray | None, every: np.ndarray
    ) -> tuple[cl.Advice | None, Pair, Encoding]:
        raise NotImplementedError

    def _weights(self, sample_weight, x) -> np.ndarray | None:
        if sample_weight is None:
            return None
        return _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)

    def _split(self, x, y, weight) -> list[Any]:
        strata = y if isinstance(self, ClassifierMixin) and y.ndim == 1 else None
        parts = [x, y] if weight is None else [x, y, weight]
        try:
            found = train_test_split(
                *parts, test_size=self.validation_fraction, random_state=self.random_state, stratify=strata
            )
        except ValueError as error:
            raise InvalidValue(
                "early_stopping",
                f"True for {len(y)} rows, of which {self.validation_fraction:g} are to be held out ({error})",
                "enough rows to hold some out",
                "Leave early_stopping off, or give more rows.",
            ) from error
        return [*found, None, None] if weight is None else found

    # --- predicting ----------------------------------------------------------------------------------------

    def _scores(self, X) -> np.ndarray:
        check_is_fitted(self)
        return scores(self.network_, self._features(X, reset=False))

    def _outputs(self, X) -> np.ndarray:
        """The pair's predictions, float64 (N, outputs)."""
        return cl.predict(self.pair_, self._scores(X).astype(np.float64))

    # --- keeping -------------------------------------------------------------------------------------------

    def predictor(self) -> nn.Module:
        """The fitted estimator as a torch module, for torch.export, ONNX or a server of its own: of features
        (N, F), in the type of `precision`, it gives what `predict_proba` gives of classes, and `predict` of numbers.

        The module is in evaluation mode, gives no gradients and holds `network_` itself, not a copy. docs/export.md
        exports one.

        Errors: `NotFittedError` if not fitted; `InvalidValue` for a pair whose outputs are no probabilities.
        """
        check_is_fitted(self)
        if self.encoding_.classes and not self.encoding_.likely:
            fix = "costlayer.torch.Predictor(network_, CostLayer(pair_)) gives its outputs."
            raise InvalidValue(
                "pair", f"{self.pair_}, of whose outputs none is a probability", "one that has some", fix
            )
        return Served(self.network_, self.pair_, self.encoding_).eval()

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to one file, in the format of safetensors: weights, and what it takes to use them
        as plain text. Loading it runs no code, whoever wrote it. What the optimizer has seen, a `callback` and a
        `random_state` that is no number are left out.

        Errors: `NotFittedError` if not fitted; `InvalidValue` if it cannot be written; nothing is left half-written.
        """
        check_is_fitted(self)
        given = self.get_params(deep=False)
        given |= {**self._begun, "callback": None}  # what was set after fit is not of this network
        if isinstance(given.get("class_weight"), dict):  # whose keys would become text
            given["class_weight"] = [list(item) for item in given["class_weight"].items()]
        if given["random_state"] is not None and not isinstance(given["random_state"], Integral):
            given["random_state"] = None
        about = {
            "format": _FORMAT,
            "estimator": type(self).__name__,
            "parameters": given,
            "pair": write_pair(self.pair_),
            "encoding": self.encoding_.record(),
            "seed": self._seed,
            "n_features_in": self.n_features_in_,
            "feature_names_in": list(getattr(self, "feature_names_in_", ())) or None,
            "n_iter": self.n_iter_,
            "best_iter": self.best_iter_,
            "history": self.history_,
            **self._about(),
        }
        text = json.dumps(about, default=_plain)
        write_whole(Path(path), save(self.network_.state_dict(), metadata={"costlayer": text}))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator that `save` wrote.

        Errors: `InvalidValue` if the file is missing or damaged, or holds another estimator.
        """
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()["costlayer"])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if (about["format"], about["estimator"]) != (_FORMAT, cls.__name__):
                got = f"{str(path)!r}, a {about['estimator']} in format {about['format']}"
                raise InvalidValue("path", got, f"a {cls.__name__} in format {_FORMAT}")
            given = about["parameters"]
            given["hidden_layer_sizes"] = tuple(given["hidden_layer_sizes"])
            if isinstance(given.get("class_weight"), list):
                given["class_weight"] = dict(given["class_weight"])
            self = cls(**given)
            self._check()  # not whether its accelerator is here: that trains, and need not serve
            self.pair_, self.encoding_ = read_pair(about["pair"]), Encoding.read(about["encoding"])
            self.advice_, self._seed, self._optimizer_state = None, about["seed"], None
            self.n_features_in_ = about["n_features_in"]
            if about["feature_names_in"]:
                self.feature_names_in_ = np.array(about["feature_names_in"], dtype=object)
            self.n_iter_, self.best_iter_, self.history_ = about["n_iter"], about["best_iter"], about["history"]
            self._recall(about)
            self._begun = self._settled()
            self._check_read(weights)
            self.network_ = build(self.n_features_in_, self._widths(), self.activation, self.encoding_.outputs, 0)
            self.network_.to(next(iter(weights.values())).dtype).load_state_dict(weights)
        except _DAMAGED as error:
            if isinstance(error, CostLayerError) and error.argument == "path":
                raise
            raise InvalidValue(
                "path",
                f"{str(path)!r}, which is missing or damaged ({error})",
                f"a file that {cls.__name__}.save wrote",
            ) from error
        return self

    def _check_read(self, weights: dict[str, torch.Tensor]) -> None:
        """Refuse what does not belong together, before a network is made."""
        sizes = [self.n_features_in_, *self._widths(), self.encoding_.outputs]
        if self.encoding_.pair != write_pair(self.pair_):
            raise ValueError("its target is that of another pair")
        if len(getattr(self, "feature_names_in_", range(sizes[0]))) != sizes[0]:
            raise ValueError("its features have other names")
        if not all(_is_number(each, Integral) and each >= 0 for each in (self._seed, self.n_iter_, self.best_iter_)):
            raise ValueError("it counts no epochs")
        if {name: tuple(each.shape) for name, each in weights.items()} != shapes(*sizes):
            raise ValueError("its weights are those of another network")
        dtype = torch.float64 if self.precision == "64-true" else torch.float32
        if not all(each.dtype is dtype and bool(each.isfinite().all()) for each in weights.values()):
            raise ValueError(f"its weights are not all finite numbers of {dtype}")

    def _about(self) -> dict[str, Any]:
        """More to keep."""
        return {}

    def _recall(self, about: dict[str, Any]) -> None:
        """Take back what `_about` kept."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _counted(x: Any, y: np.ndarray, weight: np.ndarray | None) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """The rows of some weight, and these against the largest, so that their sum is a number."""
    if weight is None:
        return x, y, None
    kept = weight > 0
    if not kept.all():
        x, y, weight = x[kept], y[kept], weight[kept]
    return x, y, weight / weight.max()


def _is_number(given: Any, kind: type = Real) -> bool:
    return isinstance(given, kind) and not isinstance(given, bool)


def _line(record: dict[str, Any], epochs: int) -> str:
    said = [
        f"{name.replace('_', ' ')} {record[name]:.6g}"
        for name in ("train_loss", "validation_loss")
        if record[name] is not None
    ]
    return f"epoch {record['epoch']} of {epochs}: {', '.join(said) or 'as initialised'}, {record['seconds']:.1f} s"


def _plain(value: Any) -> Any:
    """A number of NumPy as JSON has it."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as text")


def _probable(estimator: CostLayerClassifier) -> bool:
    """Whether the pair gives probabilities."""
    if hasattr(estimator, "encoding_"):
        likely = estimator.encoding_.likely
    elif estimator.pair == "auto":
        likely = True
    else:
        likely = Encoding.fit(write_pair(estimator._named()), "classes", np.arange(3), np.arange(3), 3).likely
    if not likely:
        name = getattr(estimator, "pair_", estimator.pair)
        raise AttributeError(f"the outputs of {name} are no probabilities; softmax+cross_entropy has some")
    return True


class CostLayerClassifier(ClassifierMixin, _CostLayerEstimator):
    """A multi-layer perceptron whose last layer is the pair of output activation and cost that fits the classes.

    Arguments:
        pair: "auto" for the one that `costlayer.choose` names; or a pair or its name, such as "softmax+focal:gamma=1".
        hidden_layer_sizes: the widths of the hidden layers; () for none: a linear model.
        activation: the hidden activation: relu, leaky_relu, elu, gelu, silu, softplus, tanh or sigmoid.
        solver: sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam or adamw.
        alpha: weight decay; None for the solver's own (0, and 0.01 for adamw).
        batch_size: rows a batch.
        learning_rate_init: the learning rate; None for the solver's usual one (0.001 for adam).
        max_iter: epochs; with `early_stopping` the most of them.
        early_stopping: hold rows out, stop when their cost falls no more, and keep the weights with the least.
        validation_fraction: the share of rows to hold out.
        n_iter_no_change: epochs without a lower cost after which it stops.
        warm_start: `fit` goes on from the network as it is, for `max_iter` more epochs.
        random_state: a number gives the same network each time, bit for bit.
        n_jobs: the most threads for one training; None for torch's number. Small networks take one whatever is allowed,
            and workers of joblib share the processor's cores among them.
        accelerator, precision: "cpu", "cuda", "mps" or "auto"; "32-true", "64-true" or "bf16-mixed".
        callback: is called with each epoch's record ("epoch", "train_loss", "validation_loss", "seconds"); training
            stops when it returns a true value.
        verbose: print a line for each epoch.
        class_weight: a weight per class, {class: weight}, or "balanced"; None for 1 each.

    The target: classes of any kind, (N,); or 0 and 1 for each of several labels, (N, L). Features ought to be of like
    size: put a `StandardScaler` before it. Numbers are converted to float32 (float64 with "64-true").

    Attributes: `classes_`, `pair_`, `advice_` (what `choose` said; None where the pair was named), `network_` (the
    torch module, up to the raw scores), `history_` (the records), `n_iter_` (epochs trained), `best_iter_` (the one
    whose weights were kept), `n_features_in_`, `feature_names_in_`.

    Errors: `InvalidValue` or `InvalidType`, both a `ValueError` or `TypeError` too, for a pair that does not fit.

    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), CostLayerClassifier(max_iter=10, random_state=0)).fit(x, y)
    >>> model[-1].pair_, bool(model.score(x, y) > 0.95), model.predict_proba(x).shape
    (pair('sigmoid+cross_entropy'), True, (569, 2))
    """

    def __init__(
        self,
        pair: str | Pair = "auto",
        *,
        hidden_layer_sizes=(64, 64),
        activation: str = "relu",
        solver: str = "adam",
        alpha: float | None = None,
        batch_size: int = 64,
        learning_rate_init: float | None = None,
        max_iter: int = 100,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        random_state=None,
        n_jobs: int | None = None,
        accelerator: str = "cpu",
        precision: str = "32-true",
        callback: Callable[[dict[str, Any]], Any] | None = None,
        verbose: bool = False,
        class_weight=None,
    ) -> None:
        super().__init__(
            pair,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            max_iter=max_iter,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            random_state=random_state,
            n_jobs=n_jobs,
            accelerator=accelerator,
            precision=precision,
            callback=callback,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def partial_fit(self, X, y, classes=None, sample_weight=None) -> Self:
        """Train on these rows once more, one epoch; the first call begins, and says which `classes` there are."""
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X) -> np.ndarray:
        """The class of each row, (N,); of several labels 0 or 1 for each, (N, L)."""
        check_is_fitted(self)
        decided = self.encoding_.decide(self._outputs(X))
        return decided if self.encoding_.several else self.classes_[decided]

    @available_if(_probable)
    def predict_proba(self, X) -> np.ndarray:
        """The probability of each class, float64 (N, classes); of several labels that of each, (N, L)."""
        check_is_fitted(self)
        return self.encoding_.probabilities(self._outputs(X))  # type: ignore

    @available_if(_probable)
    def predict_log_proba(self, X) -> np.ndarray:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def decision_function(self, X) -> np.ndarray:
        """How much speaks for each class, (N, classes): the raw scores; for two classes (N,): positive for the second
        of `classes_`."""
        check_is_fitted(self)
        z, encoding = self._scores(X).astype(np.float64), self.encoding_
        if encoding.several or encoding.outputs == 1:
            middle = encoding.middle
            even = cl.predict(self.pair_, np.zeros(1))[0]
            z = z if even == middle else cl.predict(self.pair_, z) - middle  # where a score of 0 is no draw
            return z if encoding.several else z[:, 0]
        return z[:, 1] - z[:, 0] if encoding.classes == 2 else z

    def _read(self, X, y, sample_weight, classes=None) -> tuple[Any, np.ndarray, np.ndarray | None]:
        x, y = self._features(X, reset=not hasattr(self, "network_"), y=y, multi_output=True)
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            got = f"{y.shape[1]} columns of several classes each"
            raise InvalidValue("y", got, "one column of classes, or 0 and 1 for each label", "Fit one for each column.")
        y = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
        several = kind.startswith("multilabel")
        y = y if several or y.ndim == 1 else column_or_1d(y, warn=True)
        if not hasattr(self, "classes_"):
            self.classes_ = np.arange(y.shape[1]) if several else unique_labels(y if classes is None else classes)
        if several and self.class_weight is not None:
            raise InvalidValue(
                "class_weight", repr(self.class_weight), "None for several labels a row", "Weigh the rows."
            )
        if several:
            labels = 0 if y.ndim == 1 else y.shape[1]
            if labels != len(self.classes_):
                raise InvalidValue("y", f"{labels} labels", f"{len(self.classes_)}, as before")
            return x, y.astype(np.int64), self._weights(sample_weight, x)
        if len(self.classes_) < 2:
            raise InvalidValue(
                "y", f"one class, {self.classes_.tolist()[0]!r}", "at least two classes", "Add rows of another."
            )
        unknown = ~np.isin(y, self.classes_)
        if unknown.any():
            row = int(unknown.argmax())
            known = ", ".join(map(repr, self.classes_[:20].tolist()))
            raise InvalidValue(
                f"y[{row}]",
                f"class {y[row : row + 1].tolist()[0]!r}",
                f"one of the classes {known}",
                "Name all of them in the first call: partial_fit(X, y, classes=...).",
            )
        weight = self._weights(sample_weight, x)
        if self.class_weight is not None:
            if classes is not None and self.class_weight == "balanced":
                raise InvalidValue("class_weight", "'balanced' with partial_fit", "the weights themselves", "A dict.")
            by_class = compute_sample_weight(self.class_weight, y)
            weight = by_class if weight is None else weight * by_class
        return x, np.searchsorted(self.classes_, y), weight

    def _choose(
        self, y: np.ndarray, weight: np.ndarray | None, every: np.ndarray
    ) -> tuple[cl.Advice | None, Pair, Encoding]:
        several, classes = y.ndim == 2, len(self.classes_)
        kind = "binary" if several or classes == 2 else "classes"
        advice = None
        if self.pair == "auto":
            try:
                advice = cl.choose(y, kind=kind)
            except CostLayerError:  # partial_fit need not see every class at first
                pair = read_pair("sigmoid+cross_entropy" if kind == "binary" else "softmax+cross_entropy")
            else:
                pair = read_pair(advice.pair)
        else:
            pair = self._named()
        return advice, pair, Encoding.fit(write_pair(pair), kind, y, every, 2 if several else classes)

    def _about(self) -> dict[str, Any]:
        kept = self.classes_.tolist()
        if np.array(kept).dtype.kind not in "biufU":
            raise InvalidType("classes_", f"{type(kept[0]).__name__}", "numbers or text, which the file can hold")
        return {"classes": kept, "classes_type": self.classes_.dtype.str}

    def _recall(self, about: dict[str, Any]) -> None:
        kind = about["classes_type"]
        self.classes_ = np.array(about["classes"], dtype=object if "O" in kind else kind)
        encoding = self.encoding_
        expected = encoding.outputs if encoding.several else encoding.classes
        if self.classes_.dtype.kind not in "biufUO" or len(set(self.classes_.tolist())) != expected:
            raise ValueError("its classes are not those of its target")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class CostLayerRegressor(RegressorMixin, _CostLayerEstimator):
    """A multi-layer perceptron whose last layer is the pair of output activation and cost that fits the numbers.

    The target: numbers (N,), or several columns of them, (N, M). They are scaled as the pair asks (to mean 0 and spread
    1 for a pair over the whole line, to mean 1 for one of positive predictions) and predictions are scaled back.
    `choose` looks at each column; where it names several pairs, identity+mse is taken.

    Arguments, attributes and errors: as for `CostLayerClassifier`, without classes. A quantile or an expectile is asked
    for by its pair: "identity+quantile:quantile=0.9".

    >>> from sklearn.datasets import load_diabetes
    >>> x, y = load_diabetes(return_X_y=True)
    >>> model = CostLayerRegressor("identity+huber", max_iter=50, random_state=0).fit(20 * x, y)
    >>> bool(model.score(20 * x, y) > 0.5)
    True
    """

    def partial_fit(self, X, y, sample_weight=None) -> Self:
        """Train on these rows once more, one epoch; the first call begins, and scales the target by what it sees."""
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X) -> np.ndarray:
        """The predicted numbers, float64 (N,) or (N, M)."""
        check_is_fitted(self)
        return self.encoding_.values(self._outputs(X))

    def _read(self, X, y, sample_weight, classes=None) -> tuple[Any, np.ndarray, np.ndarray | None]:
        x, y = self._features(X, reset=not hasattr(self, "network_"), y=y, multi_output=True, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if hasattr(self, "encoding_"):
            outputs = 1 if y.ndim == 1 else y.shape[1]
            if outputs != self.encoding_.outputs:
                raise InvalidValue("y", f"{outputs} columns", f"{self.encoding_.outputs}, as before")
            low, high = self.pair_.target.bounds(np.float64)  # no scale moves a finite end of it
            if (wrong := (y < low) | (y > high)).any():
                index = tuple(np.argwhere(wrong)[0].tolist())
                place = ", ".join(map(str, index))
                raise InvalidValue(f"y[{place}]", f"{y[index]:g}", f"a target in {self.pair_.target} for {self.pair_}")
        return x, y, self._weights(sample_weight, x)

    def _choose(
        self, y: np.ndarray, weight: np.ndarray | None, every: np.ndarray
    ) -> tuple[cl.Advice | None, Pair, Encoding]:
        advice, kind = None, "real"
        if self.pair == "auto":
            columns = [y] if y.ndim == 1 else list(y.T)
            advised = [_number_advice(column) for column in columns]
            same = len({None if each is None else each.pair for each in advised}) == 1
            advice = advised[0] if same else None
            pair = read_pair("identity+mse" if advice is None else advice.pair)
        else:
            pair = self._named()
        kind = "real" if advice is None else advice.kind
        return advice, pair, Encoding.fit(write_pair(pair), kind, y, every, weight=weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _number_advice(y: np.ndarray) -> cl.Advice | None:
    """What `choose` says of numbers, which are no classes here; None where they are all the same."""
    if y.min() == y.max():
        return None
    advice = cl.choose(y)
    return cl.choose(y, kind="real") if advice.kind in CLASS_KINDS else advice
