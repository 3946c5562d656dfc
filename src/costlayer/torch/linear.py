"""The last linear map and its pair as one: the cost of z = x Wᵀ + b, without ever holding z whole.

Of very many classes z is the largest array in training, and its gradient as large again. Here the scores of some
examples are made, turned into their δ and used up, before the next ones take their place; docs/linear.md derives it.

Shapes: x (..., D), W (V, D), bias (V,); the scores, which nobody sees, are (..., V), with the leading axes of x.
Targets:
- of softmax and other rows: class indices (...), or probabilities (..., V);
- of pointwise pairs: (..., V), or (...) where V = 1; of yes-or-no pairs also as the indices of the yeses: one list of
  them for each example, or a sparse tensor (COO or CSR) of shape (N, V);
- of pairs of two scores: V/2 for each example, of which the first V/2 scores are the first of each; (...) where V = 2.
`weight` has the shape of the examples or of their leading axes. All else is as in `costlayer.evaluate`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from costlayer.errors import CostLayerError, InvalidType, InvalidValue, UnsupportedDerivative
from costlayer.pair import UNIT, Pair
from costlayer.torch import fused, graph
from costlayer.torch.layer import _HALVES, _STORAGE, CostLayer, _by_engine, _refuse_gradient, _transformed

ROOM = 26 << 20  # bytes of scores that are held at a time,
SHARE = 4  # or such a part of W: with few rows at a time, adding up its gradient would take longer than the products
MOST = 1024  # rows: beyond that, sums over them would be cut by the number of threads
ALSO = (*fused.DIFFERENTIABLE, "accuracy")


def linear_cost(
    x: Tensor,
    W: Tensor,
    y: Any,
    pair: str | Pair | CostLayer = "softmax+cross_entropy",
    bias: Tensor | None = None,
    weight: Tensor | None = None,
    *,
    low_rank: tuple[Tensor, Tensor, float] | None = None,
    shift: bool = False,
    threshold: float = 0.0,
    also: Sequence[str] = (),
    rows: int | None = None,
    **options: Any,
) -> Any:
    """The cost of the scores `x Wᵀ + bias` under targets `y`, and its gradients, without holding the scores.

    Arguments:
        x: what the last layer takes, (..., D), in float32, float64, bfloat16 or float16.
        W: the weights of the last layer, (V, D): V classes, or outputs.
        y: targets; see the module's docstring.
        pair: a pair, its name, or a `CostLayer` that has one, and the options with it.
        bias: (V,).
        weight: one number per example, 0 to leave it out.
        low_rank: (A, B, s) adds s x Aᵀ Bᵀ to the scores: a low-rank change of W, which is never formed; A is (r, D),
            B is (V, r).
        shift: whether the targets are the next example's, as of the next token: x without the last and y without the
            first along the last axis of the examples. A weight goes with its target.
        threshold: leave classes whose δ is at most this, in all rows of some hundred at a time, out of the two
            products that make the gradients of x and W. δ is p for the classes that are not the true one, so this is a
            probability, times the example's weight. With S the classes left out and all weights 1, the gradient of a
            sum errs by at most threshold · Σ_S |W_j| in that by x, and threshold · Σ_i |x_i| in that by W_j. For
            softmax and other rows alone; 0 leaves nothing out.
        also: what else is wanted, of "loss" (of each example), "logsumexp", "entropy" (of softmax of the scores as the
            cost sees them) and "accuracy" (the share of examples whose true class has the highest score, of those not
            ignored). Then a dict of them comes as well; all but the last can be differentiated.
        rows: how many examples' scores are held at a time; by default as many as take 26 MiB, or a quarter of W if that
            is more; never more than 1024.
        options: those of `CostLayer`, such as reduction, ignore_index, class_weight, label_smoothing, z_loss, softcap,
            temperature, and parameters of the pair.

    The gradients are made in the forward pass, when they are asked for and the reduction is not "none"; otherwise the
    scores are made a second time in the backward pass. Only those are made that are asked for. Scores of bfloat16 are
    rounded to that, those of float16 are not; sums are taken in float32. Under `torch.autocast` of bfloat16 the
    products are of that type, and gradients of the type of what they are of. In a compiled graph it is one operation.
    Second derivatives and transforms of torch.func go by way of the scores, whole, and so do compiled graphs with
    `also`, sparse targets or the reduction "none".

    Returns a scalar, or for "none" the shape of the examples; with `also`, that and a dict.

    Errors: `InvalidValue` or `InvalidType` for sizes that do not fit, and with the first offending index for targets;
    `UnsupportedDerivative` for a gradient by targets or weights.

    >>> x, W = torch.zeros(2, 3), torch.zeros(4, 3)
    >>> linear_cost(x, W, torch.tensor([0, 3]))
    tensor(1.3863)
    """
    layer = pair if isinstance(pair, CostLayer) and not options else CostLayer(_name(pair), **options)
    also = (also,) if isinstance(also, str) else tuple(also)
    call = Call(layer, x, W, y, bias, weight, low_rank, shift, threshold, also, rows)
    loss, *rest = (call.restored(each) for each in call.found())
    return (loss, dict(zip(call.also, rest, strict=True))) if call.also else loss


def _name(pair: Any) -> Any:
    if isinstance(pair, CostLayer):
        raise InvalidType("options", "options beside a CostLayer", "the layer's own", "Give them to CostLayer.")
    return pair


class LinearCostLayer(nn.Module):
    """The last linear map of a network and its cost: `CostLayer` of `nn.Linear`, without holding the scores.

    Arguments:
        in_features: D, of what comes in.
        outputs: V, the number of scores: classes, or outputs; two for each target of pairs of two scores.
        pair: a pair or its name.
        bias: whether there is one.
        shift, threshold, rows: see `linear_cost`.
        device, dtype: of the weights.
        options: those of `CostLayer`.

    >>> layer = LinearCostLayer(8, 1000, "softmax+cross_entropy", label_smoothing=0.1)
    >>> x, y = torch.randn(4, 8), torch.tensor([1, 2, 3, 999])
    >>> layer(x, y).backward()
    >>> layer.weight.grad.shape, layer.predict(x).shape
    (torch.Size([1000, 8]), torch.Size([4, 1000]))
    """

    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        outputs: int,
        pair: str | Pair = "softmax+cross_entropy",
        bias: bool = True,
        *,
        shift: bool = False,
        threshold: float = 0.0,
        rows: int | None = None,
        device: Any = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        for name, given in (("in_features", in_features), ("outputs", outputs)):
            if isinstance(given, bool) or not isinstance(given, int) or given < 1:
                raise InvalidValue(name, repr(given), "a whole number from 1 on")
        self.in_features, self.outputs = in_features, outputs
        self.shift, self.threshold, self.rows = shift, threshold, rows
        self.cost = CostLayer(pair, **options)
        self.weight = nn.Parameter(torch.empty(outputs, in_features, device=device, dtype=dtype))
        self.register_parameter(
            "bias", nn.Parameter(torch.empty(outputs, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights as `nn.Linear` draws them."""
        nn.Linear.reset_parameters(self)  # type: ignore

    def forward(self, x: Tensor, y: Any, weight: Tensor | None = None, also: Sequence[str] = ()) -> Any:
        """The reduced cost of `x` under targets `y`; with `also`, that and a dict, as `linear_cost` has them."""
        return linear_cost(
            x,
            self.weight,
            y,
            self.cost,
            self.bias,
            weight,
            shift=self.shift,
            threshold=self.threshold,
            also=also,
            rows=self.rows,
        )

    def scores(self, x: Tensor) -> Tensor:
        """The scores `x Wᵀ + b`, whole: (..., V)."""
        return F.linear(x, self.weight, self.bias)

    def predict(self, x: Tensor) -> Tensor:
        """The predictions `φ(x Wᵀ + b)`: (..., V), and of pairs of two scores the V/2 first ones before the second."""
        z = self.scores(x)
        flat = z.reshape(-1, self.outputs)
        flat = flat.unflatten(1, (2, -1)) if self.cost.pair.two else flat
        return self.cost.predict(flat).reshape(z.shape)

    def constant(self, y: Any, weight: Tensor | None = None) -> Tensor:
        """Set the bias to the constant scores with the least cost, and return it: the right start.

        >>> layer = LinearCostLayer(8, 2, "softmax+cross_entropy")
        >>> torch.softmax(layer.constant(torch.tensor([0, 0, 0, 1])), 0)
        tensor([0.7500, 0.2500])
        """
        if self.bias is None:
            raise InvalidValue("bias", "none", "one to set", "Make the layer with bias=True.")
        pair = self.cost.pair
        sparse = isinstance(y, (list, tuple)) or (isinstance(y, Tensor) and y.layout is not torch.strided)
        if sparse and not pair.row:  # some columns at a time
            targets = _Targets(SimpleNamespace(pair=pair, lead=torch.Size((len(y),)), classes=self.outputs), y, None)
            blocks = (targets.tile(slice(0, len(y)), part) for part in fused.parts(slice(0, self.outputs)))
            found = torch.cat([self.cost.constant(block, weight).reshape(-1) for block in blocks])
        else:
            y = torch.as_tensor(y)
            classes = self.outputs + pair.activation.thresholds if pair.row else None
            if pair.row and not y.is_floating_point():
                y, weight = y.reshape(-1), None if weight is None else weight.expand(y.shape).reshape(-1)
            found = self.cost.constant(y, weight, classes)
        with torch.no_grad():
            self.bias.copy_(found.reshape(-1) if found.numel() == self.outputs else found)
        return self.bias.detach().clone()

    def extra_repr(self) -> str:
        shown = [f"in_features={self.in_features}", f"outputs={self.outputs}", f"bias={self.bias is not None}"]
        shown += ["shift=True"] if self.shift else []
        shown += [f"threshold={self.threshold:g}"] if self.threshold else []
        shown += [f"rows={self.rows}"] if self.rows else []
        return ", ".join(shown)


# ------------------------------------------------------------------------------------------------------- two towers


def contrastive_cost(
    a: Tensor, b: Tensor, scale: Tensor | float = 1.0, *, symmetric: bool = True, **options: Any
) -> Tensor:
    """InfoNCE, and CLIP's loss: of N pairs (a_i, b_i), cross entropy of telling b_i from all b_j by `scale · a_i · b_j`
    and, if `symmetric`, a_i from all a_j; the mean of both. The N × N scores are never held.

    Arguments:
        a, b: (N, D), usually of length 1: `F.normalize(..., dim=-1)`.
        scale: one over the temperature; a tensor is learned. CLIP learns its logarithm: `log_scale.exp()`.
        options: those of `linear_cost`.

    Source: van den Oord et al. 2018, arXiv 1807.03748; Radford et al. 2021, arXiv 2103.00020.

    >>> a = F.normalize(torch.eye(3), dim=-1)
    >>> round(contrastive_cost(a, a, scale=10.0).item(), 6)
    9.1e-05
    """
    _check_towers(a, b)
    labels, scaled = torch.arange(len(a), device=a.device), a * scale
    loss = linear_cost(scaled, b, labels, **options)
    return (loss + linear_cost(b, scaled, labels, **options)) / 2 if symmetric else loss


def siglip_cost(
    a: Tensor, b: Tensor, scale: Tensor | float = 1.0, bias: Tensor | float = 0.0, **options: Any
) -> Tensor:
    """SigLIP's loss: of all N² pairs (a_i, b_j), whether they belong together (i = j), each a yes-or-no question of the
    score `scale · a_i · b_j + bias`; summed, and divided by N. The N × N scores are never held.

    Arguments as `contrastive_cost` has them; both `scale` and `bias` may be learned.

    Source: Zhai et al. 2023, arXiv 2303.15343.

    >>> a = F.normalize(torch.eye(3), dim=-1)
    >>> round(siglip_cost(a, a, scale=10.0, bias=-5.0).item(), 4)
    0.0201
    """
    _check_towers(a, b)
    n = len(a)
    own = torch.arange(n, device=a.device)
    labels = torch.sparse_coo_tensor(own.expand(2, n), a.new_ones(n), (n, n), check_invariants=False)
    bias = torch.as_tensor(bias, dtype=a.dtype, device=a.device).reshape(()).expand(n)
    options = {"reduction": "sum", **options}
    return linear_cost(a * scale, b, labels, "sigmoid+cross_entropy", bias, **options) / max(n, 1)


def _check_towers(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or a.shape != b.shape:
        raise InvalidValue("b", f"shape {tuple(b.shape)} beside a of shape {tuple(a.shape)}", "both (N, D), in pairs")


# -------------------------------------------------------------------------------------------------- what is asked for


class Call:
    """One call of `linear_cost`: its arguments, checked and made flat, and what is to be known of them."""

    given: tuple[Tensor | None, ...]
    needs: tuple[bool, ...]

    def __init__(self, layer, x, W, y, bias, weight, low_rank, shift, threshold, also, rows, work=None) -> None:
        self.layer, self.pair, self.threshold, self.also, self.rows = layer, layer.pair, threshold, also, rows
        _check_sizes(x, W, bias)
        _refuse_gradient(weight, "weight")
        weight = None if weight is None else torch.as_tensor(weight, device=x.device)
        self.classes, self.lead = W.shape[0], x.shape[:-1]
        self._check_options()
        self.targets = _Targets(self, y, x.device)
        if shift:
            x, weight = self._shifted(x, weight)
        shape = self.shape = self.shape_of(*self.lead)
        if weight is not None:
            if weight.shape != shape[: weight.ndim]:
                expected = f"{tuple(shape)}, the shape of the examples, or its leading axes"
                raise InvalidValue("weight", f"shape {tuple(weight.shape)}", expected)
            own = max(weight.ndim, len(self.lead))  # axes: one number per row, or per score
            weight = weight.reshape(weight.shape + (1,) * (own - weight.ndim)).expand(shape[:own])
            weight = weight.reshape(math.prod(self.lead), *shape[len(self.lead) : own])
        x = x.reshape(math.prod(self.lead), x.shape[-1])
        self.examples, self.weight, self.given = len(x), weight, (bias, x, W)
        if low_rank is not None:
            self.given += _low_rank(x, W, low_rank)
        self.targets.flatten(self.examples)
        self.whole_rows = self.pair.row or self.pair.two
        self.work = work or _work(x)

    @cached_property
    def in_place(self) -> bool:
        """Whether δ may be written over the scores."""
        return self.layer._in_place(self.targets.y)

    def _check_options(self) -> None:
        pair, threshold, rows = self.pair, self.threshold, self.rows
        if pair.two and self.classes % 2:
            raise InvalidValue("W", f"{self.classes} rows", f"two for each target of {pair}: an even number")
        if unknown := [name for name in self.also if name not in ALSO]:
            raise InvalidValue("also", repr(unknown[0]), "some of " + ", ".join(ALSO))
        if len({*self.also}) < len(self.also):
            raise InvalidValue("also", ", ".join(self.also), "each name once")
        if self.also and not (pair.row and not pair.written):
            raise InvalidValue("also", f"{', '.join(self.also)} for {pair}", "a pair with softmax")
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0.0 <= threshold < 1.0:
            raise InvalidValue("threshold", repr(threshold), "a probability in [0, 1)")
        if threshold and not pair.row:
            raise InvalidValue("threshold", f"{threshold:g} for {pair}", "a pair whose scores belong together in rows")
        if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
            raise InvalidValue("rows", repr(rows), "a whole number from 1 on, or None")

    def _shifted(self, x: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if not self.lead or not self.lead[-1]:
            raise InvalidValue(
                "shift", f"True for x of shape {tuple(x.shape)}", "examples in order: (..., T, D), T > 0"
            )
        axis = len(self.lead) - 1
        self.targets.shift(axis)
        x = x[..., :-1, :]
        self.lead = x.shape[:-1]
        if weight is not None and weight.ndim > axis:
            weight = weight.narrow(axis, 1, weight.shape[axis] - 1)
        return x, weight

    def shape_of(self, *examples: int) -> torch.Size:
        """The shape of the costs of so many rows of scores."""
        if self.pair.row or self.targets.one:
            return torch.Size(examples)
        return torch.Size((*examples, self.classes // 2 if self.pair.two else self.classes))

    def found(self) -> tuple[Tensor, ...]:
        """The cost, and what else is asked for."""
        if _transformed() or not all(_by_engine(each) for each in self.given[1:]):
            return self.composed(self.given)
        graded = torch.is_grad_enabled()
        self.needs = tuple(graded and each is not None and each.requires_grad for each in self.given)
        if torch.compiler.is_compiling():
            halves = any(each is not None and each.dtype is torch.float16 for each in self.given)  # rounded too soon
            if self.also or self.targets.y is None or self.layer.reduction == "none" or halves:
                return self.composed(self.given)
            options = self.layer._number, float(self.threshold), self.rows or 0, self.work
            bias, *tensors = self.given
            return tuple(graph.linear_cost(bias, tensors, self.targets.y, self.weight, [*self.needs], *options)[:1])
        self.check_labels()
        self.versions = self._versions()
        return fused.Fused.apply(self, *self.given)  # type: ignore

    def _versions(self) -> list[int]:
        """How often targets and weights have been written to."""
        held = (self.targets.y if self.targets.y is not None else self.targets.sparse[2], self.weight)
        return [0 if each is None or each.is_inference() else each._version for each in held]

    def check_unchanged(self) -> None:
        """Refuse to make scores again for targets that are others by now."""
        if self._versions() != self.versions:
            raise UnsupportedDerivative(
                "y, weight",
                "targets or weights that have been written over since",
                "them as they were",
                "Write to a copy of them: y.clone().",
            )

    def restored(self, found: Tensor) -> Tensor:
        """In the shape of the examples as they came."""
        if not found.ndim:
            return found
        return found.reshape(self.shape if found.shape == self.shape_of(self.examples) else self.lead)

    def composed(self, given: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        """The same by way of the scores, whole: where the engine does not reach, and for further derivatives."""
        bias, x, w, *more = given
        z = F.linear(x, w, bias)  # type: ignore
        z = z + F.linear(*more) if more else z  # type: ignore
        y, weight = self.tile(slice(0, self.examples), slice(0, self.classes))
        loss = self.layer(z.view(len(z), 2, -1) if self.pair.two else z, y, weight)
        return (loss.reshape(self.shape_of(self.examples)) if loss.ndim else loss, *self.sides(z, y, weight))

    def sides(self, z: Tensor, y: Tensor, weight: Tensor | None, each: bool = False) -> list[Tensor]:
        """What else is asked for, of scores (rows, V); with `each`, in place of the accuracy whether each is right."""
        found = []
        for name in self.also:
            if name == "loss":
                z_or_float = z.float() if z.dtype in _HALVES else z
                found.append(self.layer._with(reduction="none")(z_or_float, y, weight))
            elif name == "accuracy":
                right = self.kept(y, weight) & (z.argmax(1) == (y.argmax(1) if y.is_floating_point() else y))
                found.append(right.float() if each else right.sum() / self.kept(y, weight).sum())
            else:
                found += self.of_softmax(z.float() if z.dtype in _HALVES else z, (name,))
        return found

    def of_softmax(self, z: Tensor, names: Mapping[str, Any] | Sequence[str]) -> list[Tensor]:
        """Numbers of the softmax of each row, of the scores as the cost sees them."""
        z = self.layer._altered(z, 1)
        log_share = torch.log_softmax(z, 1)
        share = log_share.exp()
        found = {
            "logsumexp": lambda: torch.logsumexp(z, 1),
            "entropy": lambda: -torch.where(share == 0.0, 0.0, share * log_share).sum(1),
        }
        return [found[name]() for name in names]

    def kept(self, y: Tensor, weight: Tensor | None) -> Tensor:
        """Which rows are not left out."""
        left = self.left_out(y, weight)
        return torch.ones(len(y), dtype=torch.bool, device=y.device) if left is None else ~left

    def left_out(self, y: Tensor, weight: Tensor | None) -> Tensor | None:
        """Which rows of a tile are left out whole; None if nothing says so."""
        left = None if weight is None or weight.ndim > 1 else weight == 0
        if self.pair.row and self.layer.ignore_index is not None and not y.is_floating_point():
            ignored = y == self.layer.ignore_index
            left = ignored if left is None else left | ignored
        return left

    def tile(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor | None]:
        """Targets and weights of some rows and columns."""
        weight = None if self.weight is None else self.weight[rows]
        if weight is not None and weight.ndim > 1:
            weight = weight[:, columns]
        return self.targets.tile(rows, columns), weight

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """Which rows and columns are worked on together."""
        n, (height, width) = self.examples, self._tile
        height = -(-n // max(1, -(-n // height)))  # all about as high
        for column in range(0, self.classes, width):
            for row in range(0, n, max(height, 1)):
                yield slice(row, min(row + height, n)), slice(column, min(column + width, self.classes))

    @property
    def most(self) -> int:
        """The scores of the largest tile."""
        height, width = self._tile
        return min(height, self.examples) * width

    @property
    def _tile(self) -> tuple[int, int]:
        """Rows and columns of a tile."""
        if self.whole_rows:
            own = self.given[2].nbytes  # type: ignore
            width, room = self.classes, max(ROOM, own // SHARE)
            if self.work is torch.bfloat16 and room < own < 2 * ROOM:  # the gradient by W will lie there afterwards
                room = own
            copies = 1 if self.in_place else 5 if self.work is torch.bfloat16 else 2  # with δ, and both in float32
            copies += 3 * bool(self.also)
        else:
            width, room, copies = min(fused.BLOCK, self.classes), ROOM // 8, 1
        return min(self.rows or max(1, room // (width * self.work.itemsize * copies)), MOST), width

    def check_labels(self) -> None:
        """Refuse the first class that is none, before any work."""
        y, layer = self.targets.y, self.layer
        if y is None or not self.pair.row or y.is_floating_point():
            return
        bad = ((y < 0) | (y >= self.classes + self.pair.activation.thresholds)) & self.kept(y, self.weight)
        if bad.any():  # the engine says what is wrong with it
            first = int(bad.to(torch.uint8).argmax())
            with self.placed(slice(first, None), slice(0, None)):
                layer._with(reduction="sum").evaluate(torch.zeros(1, self.classes), y[first, None], None, delta=False)

    @contextmanager
    def placed(self, rows: slice, columns: slice) -> Iterator[None]:
        """What is wrong with a target of a tile is said by its place in the whole."""
        try:
            yield
        except CostLayerError as error:
            found = re.fullmatch(r"(y|weight)\[([\d, ]+)\]", error.argument)
            if not found:
                raise
            row, *rest = map(int, found[2].split(", "))
            row, place = row + rows.start, [each + columns.start for each in rest[-1:]]
            place = [] if self.targets.one else place
            for size in reversed(self.lead):
                row, here = divmod(row, size)
                place.insert(0, here)
            argument = f"{found[1]}[{', '.join(map(str, place))}]" if place else found[1]
            raise type(error)(argument, error.got, error.expected, error.fix) from None


def _check_sizes(x: Any, w: Any, bias: Any) -> None:
    for name, given, kind in (("x", x, "(..., D)"), ("W", w, "(V, D)")):
        if not isinstance(given, Tensor):
            raise InvalidType(name, type(given).__name__, f"a torch tensor {kind}")
        if given.dtype not in _STORAGE:
            raise InvalidType(name, f"a tensor of {given.dtype}", "floating-point numbers of 16 bits or more")
    if w.ndim != 2 or not len(w) or x.ndim < 1 or x.shape[-1] != w.shape[1]:
        given = f"shape {tuple(w.shape)} for x of shape {tuple(x.shape)}"
        raise InvalidValue("W", given, "(V, D), with D the last axis of x and V at least 1")
    if bias is not None and not isinstance(bias, Tensor):
        raise InvalidType("bias", type(bias).__name__, "a torch tensor (V,)")
    for name, given in (("W", w), ("bias", bias)):
        if given is not None and given.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
            raise InvalidType(name, f"{given.dtype} for x of {x.dtype}", "one type", "Convert one of them.")
    if bias is not None and bias.shape != w.shape[:1]:
        raise InvalidValue("bias", f"shape {tuple(bias.shape)} for W of shape {tuple(w.shape)}", f"({len(w)},)")


def _work(x: Tensor) -> torch.dtype:
    """The type of the products."""
    on = x.device.type
    cast = torch.is_autocast_enabled(on) and x.dtype is not torch.float64
    kind = torch.get_autocast_dtype(on) if cast else x.dtype
    slow = kind in _HALVES and not (kind is torch.bfloat16 and fused.BFLOAT16)
    return torch.float32 if slow else kind


def _low_rank(x: Tensor, w: Tensor, low_rank: tuple[Tensor, Tensor, float]) -> tuple[Tensor, Tensor]:
    """s x Aᵀ and B, whose product is what is added to the scores."""
    try:
        down, up, factor = low_rank
    except (TypeError, ValueError):
        raise InvalidType("low_rank", type(low_rank).__name__, "(A, B, s)") from None
    for name, given in (("A", down), ("B", up)):
        if not isinstance(given, Tensor) or (given.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type)):
            got = f"{name} of {given.dtype if isinstance(given, Tensor) else type(given).__name__}"
            raise InvalidType("low_rank", got, f"tensors of {x.dtype}, the type of x")
    if down.ndim != 2 or down.shape[1] != w.shape[1] or up.shape != (len(w), len(down)):
        got = f"A of shape {tuple(down.shape)}, B of shape {tuple(up.shape)} for W of shape {tuple(w.shape)}"
        raise InvalidValue("low_rank", got, "A (r, D) and B (V, r)")
    return F.linear(x, down) * factor, up


class _Targets:
    """Targets of any kind, a tile at a time."""

    y: Tensor | None  # None if they are sparse
    sparse: tuple[Tensor, Tensor, Tensor]  # where the rows begin, the columns, and what is there

    def __init__(self, call: Any, y: Any, device: torch.device | None) -> None:
        _refuse_gradient(y, "y")
        pair, lead, classes = call.pair, call.lead, call.classes
        self.pair, self.classes, self.y, self.one = pair, classes, None, False
        if isinstance(y, Tensor) and y.layout in (torch.sparse_coo, torch.sparse_csr):
            self._check_sparse(tuple(y.shape), lead)
            self.sparse = _of_sparse(y)
        elif isinstance(y, (list, tuple)) and (not y or isinstance(y[0], (list, tuple, Tensor))):
            self._check_sparse((len(y), classes), lead)
            self.sparse = self._of_lists(y, device)
        else:
            self.y = y = torch.as_tensor(y, device=device)
            labelled = pair.row and not y.is_floating_point()
            # whether there is one target for a row of scores
            self.one = labelled or (pair.two and classes == 2) or (not pair.row and classes == 1 and y.shape == lead)
            per_row = classes // 2 if pair.two else classes
            expected = lead if self.one else (*lead, per_row)
            if y.shape != expected:
                fix = ""
                if y.shape == lead:
                    fix = "A class index is for softmax: give lists of the indices of the yeses."
                    fix = "Class indices must be integers: y.long()." if pair.row else fix
                given = f"shape {tuple(y.shape)} for examples of shape {tuple(lead)} with {classes} scores each"
                raise InvalidValue("y", given, f"shape {tuple(expected)}", fix)

    def _check_sparse(self, shape: tuple[int, ...], lead: torch.Size) -> None:
        if self.pair.row or self.pair.two or self.pair.target != UNIT:
            raise InvalidType("y", "indices of yeses", f"targets of {self.pair}: {self.pair.targets}")
        if len(lead) != 1 or shape != (*lead, self.classes):
            given = f"shape {shape} for examples of shape {tuple(lead)}"
            raise InvalidValue("y", given, f"x (N, D), and indices for N rows of {self.classes}")

    def _of_lists(self, y: Sequence, device: torch.device | None) -> tuple[Tensor, Tensor, Tensor]:
        rows = [torch.as_tensor(each, device=device).reshape(-1) for each in y]
        for i, row in enumerate(rows):
            if len(row) and (row.is_floating_point() or row.dtype is torch.bool):
                fix = "Dense targets are a tensor, not lists."
                raise InvalidType(f"y[{i}]", f"{row.dtype}", "whole numbers, the indices of the yeses", fix)
        rows = [row.long() for row in rows]
        begin = torch.tensor([0, *map(len, rows)], device=device).cumsum(0)
        column = torch.cat([torch.zeros(0, dtype=torch.int64, device=device), *rows])
        bad = (column < 0) | (column >= self.classes)
        if bad.any():
            at = int(bad.to(torch.uint8).argmax())
            i = int(torch.searchsorted(begin, at, right=True)) - 1
            expected = f"an index from 0 to {self.classes - 1}"
            raise InvalidValue(f"y[{i}][{at - int(begin[i])}]", f"{int(column[at])}", expected)
        return begin, column, torch.ones(len(column), device=device)

    def shift(self, axis: int) -> None:
        """Leave out the first example along an axis."""
        if self.y is not None:
            self.y = self.y.narrow(axis, 1, self.y.shape[axis] - 1)
        else:
            begin, column, value = self.sparse
            first = int(begin[1])
            self.sparse = begin[1:] - first, column[first:], value[first:]

    def flatten(self, rows: int) -> None:
        """Make the leading axes one."""
        if self.y is not None:
            self.y = self.y.reshape((rows,) if self.one else (rows, self.y.shape[-1]))

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """Those of some rows and columns, as the pair takes them for scores (rows, columns), or (rows, 2, targets)."""
        if self.y is not None:
            y = self.y[rows]
            if self.pair.row:
                return y
            y = y.unsqueeze(1) if self.one else y
            return y if self.pair.two else y[:, columns]
        begin, column, value = self.sparse
        first, last = int(begin[rows.start]), int(begin[rows.stop])
        row = torch.repeat_interleave(begin[rows.start + 1 : rows.stop + 1] - begin[rows.start : rows.stop])
        column, value = column[first:last] - columns.start, value[first:last]
        inside = (column >= 0) & (column < columns.stop - columns.start)
        y = torch.zeros(rows.stop - rows.start, columns.stop - columns.start, dtype=value.dtype, device=value.device)
        y[row[inside], column[inside]] = value[inside]
        return y


def _of_sparse(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    value = y.values() if y.layout is torch.sparse_csr else y.coalesce().values()
    value = value if value.is_floating_point() else value.float()
    if y.layout is torch.sparse_csr:
        return y.crow_indices().long(), y.col_indices().long(), value
    row, column = y.coalesce().indices()
    begin = torch.zeros(len(y) + 1, dtype=torch.int64, device=row.device)
    begin[1:] = torch.bincount(row, minlength=len(y)).cumsum(0)
    return begin, column, value
