"""The work of `costlayer.torch.linear`: scores made, used up and forgotten, a tile at a time.

A tile is some rows (examples) of the scores, by all columns where the scores of a row belong together and by some where
they do not. Of each tile come its part of the cost, and δ; of δ the products that are added up to the gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from costlayer.errors import InvalidValue
from costlayer.torch.layer import _empty, _graph_is_kept

if TYPE_CHECKING:
    from costlayer.torch.linear import Call

BLOCK = 1536  # columns of one product: what comes of it is still in the cache when it is added to the rest
DIFFERENTIABLE = ("loss", "logsumexp", "entropy")  # of what may be asked for beside the cost
Some = Sequence[Tensor | None]
# Whether torch has oneDNN and its product of a linear layer, and whether that is faster in bfloat16 than in float32.
ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
BFLOAT16 = ONEDNN and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class Fused(torch.autograd.Function):
    """The cost and what else is asked for, of a bias (or None) and any number of inputs and weights in turn.

    Where one number is to be differentiated its gradients are made in the forward pass, while the scores are at hand:
    what comes from above is only a factor. Where not, the backward pass makes the scores again.
    """

    @staticmethod
    def forward(ctx, call: Call, *given: Tensor | None) -> tuple[Tensor, ...]:
        one = call.layer.reduction != "none" and not any(name in DIFFERENTIABLE for name in call.also)
        found = _Run(call, given, call.needs if one else (False,) * len(given)).result()
        ctx.call, ctx.factor, ctx.gradients = call, found.factor, found.gradients if one else None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given)
        if "accuracy" in call.also:
            ctx.mark_non_differentiable(found.sides[call.also.index("accuracy")])
        return (found.value, *found.sides)

    @staticmethod
    def backward(ctx, *upstream: Tensor | None):  # type: ignore
        given, call = ctx.saved_tensors, ctx.call
        if torch.is_grad_enabled():  # further derivatives are asked for
            call.check_unchanged()
            return None, *_differentiable(call, given, upstream)
        if ctx.gradients is None:
            call.check_unchanged()
            found = _Run(call, given, call.needs, _above(call, upstream, ctx.factor)).result()
            return None, *_scaled(found.gradients, given, 1.0, free=True)
        if upstream[0] is None:
            return (None,) * (1 + len(given))
        gradients, free = ctx.gradients, not _graph_is_kept()
        if free:  # whoever gets them may keep them: nobody else must hold them, or they would be copied
            ctx.gradients = ()
        return None, *_scaled(gradients, given, upstream[0].item() * ctx.factor, free)


def gradients_too(call: Call) -> list[Tensor]:
    """The reduced cost, and the gradients that are needed, whole."""
    found = _Run(call, call.given, call.needs).result()
    return [
        found.value,
        *(each for each in _scaled(found.gradients, call.given, found.factor, True) if each is not None),
    ]


def _differentiable(call: Call, given: Some, upstream: Some) -> list[Any]:
    """The gradients as functions of what they are of, by way of the scores, whole."""
    with torch.enable_grad():
        found = zip(call.composed(given), upstream, strict=True)
        outputs, along = zip(*((of, up) for of, up in found if up is not None), strict=True)
        asked = [each for each, needed in zip(given, call.needs, strict=True) if needed]
        grads = iter(torch.autograd.grad(outputs, asked, along, create_graph=True, allow_unused=True))  # type: ignore
        return [next(grads) if needed else None for needed in call.needs]


def _above(call: Call, upstream: Some, factor: float) -> dict[str, Tensor]:
    """What comes from above, by what it is of; as "cost", all that comes by the costs of the examples."""
    above = {name: up for name, up in zip(("cost", *call.also), upstream, strict=True) if up is not None}
    if "cost" in above:
        above["cost"] = above["cost"] * factor
    if "loss" in above:
        above["cost"] = above.get("cost", 0.0) + above.pop("loss")
    return above


def _scaled(gradients: Some, given: Some, factor: float, free: bool) -> Iterator[Tensor | None]:
    """Sums, times a factor, in the type of what they are the gradients of; in place if nobody will ask again."""
    for gradient, of in zip(gradients, given, strict=True):
        if gradient is None or of is None:
            yield None
        elif gradient.dtype is of.dtype:
            yield gradient * factor if not free else gradient.mul_(factor) if factor != 1.0 else gradient
        else:
            found = _empty(of.shape, of.dtype)
            for part in parts(slice(0, len(gradient))):  # without as much again in between
                found[part] = gradient[part] * factor
            yield found


class _Run:
    """One pass over the tiles."""

    def __init__(self, call: Call, given: Some, needs: Sequence[bool], above: dict[str, Tensor] | None = None) -> None:
        self.call, self.layer, self.pair, self.work = call, call.layer, call.layer.pair, call.work
        self.above, self.needed = above, any(needs)
        self.bias, self.inputs, self.weights = given[0], given[1::2], given[2::2]
        self.exact = torch.float64 if call.work is torch.float64 else torch.float32
        self.room: Tensor | None = None
        # what comes first to a place is stored there, so that nothing need be cleared before
        self.cleared = bool(call.threshold) or not call.examples
        self.sums = [self._sum(each, k) if needed else None for k, (each, needed) in enumerate(zip(given, needs))]  # type: ignore  # noqa: B905

    def _sum(self, of: Tensor, k: int) -> Tensor:
        """Where a gradient is added up: in float32, but that of an input, where a tile has all of it at once, as the
        product leaves it."""
        whole = k % 2 == 1 and self.call.whole_rows and of.dtype is self.work
        sum = _empty(of.shape, of.dtype if whole else self.exact)
        return sum.zero_() if self.cleared else sum

    def result(self) -> SimpleNamespace:
        """Value, what else is asked for, the sums of the gradients, and the factor to them in the reduction."""
        call, layer, exact = self.call, self.layer, self.exact
        each = layer.reduction == "none"
        values = torch.empty(call.shape_of(call.examples), dtype=exact) if each else None
        sides = {name: torch.empty(call.examples, dtype=exact) for name in call.also}
        total, count, kept = 0.0, 0.0, 0.0
        with torch.no_grad():
            for rows, columns in call.tiles():
                y, weight = call.tile(rows, columns)
                inputs = [x[rows].to(self.work).contiguous() for x in self.inputs]  # type: ignore
                z = self._scores(inputs, columns)
                if self.above is None and sides:
                    for name, found in zip(call.also, call.sides(z, y, weight, each=True), strict=True):
                        sides[name][rows] = found
                    kept += float(call.kept(y, weight).sum()) if "accuracy" in sides else 0.0
                beside = self._beside(z, rows)
                with call.placed(rows, columns):
                    value, number, delta = self._evaluated(z, y, weight, columns)
                count += number
                if values is None:
                    total += float(value)
                else:
                    place = values[rows] if values.ndim == 1 or self.pair.two else values[rows, columns]
                    place.copy_(torch.as_tensor(value).view_as(place))
                if delta is not None:
                    few = self._few(delta) if beside is None else None
                    delta = self._from_above(delta, rows, columns)
                    delta = (delta if beside is None else delta + beside).to(self.work)
                    left_out = call.left_out(y, weight)
                    if left_out is not None:
                        inputs = [_without(x, left_out) for x in inputs]
                    self._multiply(inputs, delta, rows, columns, few)
        if "accuracy" in sides:
            sides["accuracy"] = sides["accuracy"].sum() / kept if kept else torch.tensor(torch.nan, dtype=exact)
        if each or layer.reduction == "sum":
            factor = 1.0
        elif count:
            factor = 1.0 / count
        elif layer.empty == "error":
            fix = "Use reduction='sum' where a batch may be empty."
            raise InvalidValue("y", "no examples to average", "at least one", fix)
        else:
            factor, total = 1.0, torch.nan if layer.empty == "nan" else 0.0
        value = torch.tensor(total if factor == 1.0 else total / count, dtype=torch.float64).to(exact)
        return SimpleNamespace(
            value=value if values is None else values, sides=list(sides.values()), gradients=self.sums, factor=factor
        )

    def _scores(self, inputs: list[Tensor], columns: slice) -> Tensor:
        """The scores of a tile, part by part: of more at once the system would have to find new memory each time."""
        rows, width = len(inputs[0]), columns.stop - columns.start
        if self.room is None:
            self.room = _empty(torch.Size((self.call.most,)), self.work)
        z = self.room[: rows * width].view(rows, width)
        for part in parts(columns):
            bias = None if self.bias is None else self.bias[part].to(self.work).contiguous()
            weights = [w[part].to(self.work) for w in self.weights]  # type: ignore
            place = z[:, _within(part, columns)]
            put_product(place, inputs[0], weights[0], bias)
            for x, w in zip(inputs[1:], weights[1:], strict=True):
                place += product(x, w)
        return z

    def _evaluated(self, z: Tensor, y: Tensor, weight: Tensor | None, columns: slice) -> tuple[Any, float, Any]:
        """The cost of a tile, its share of what a mean divides by, and δ in the shape of z, if it is needed."""
        layer, per_score = self.layer, self.layer.pos_weight
        if per_score is not None and per_score.ndim and per_score.shape[-1] > 1:
            layer = layer._with(pos_weight=per_score[..., columns])
        in_place = self.needed and self.call.in_place
        if z.dtype is torch.bfloat16 and not self.call.in_place:
            z = z.float()
        shaped = z.view(len(z), 2, -1) if self.pair.two else z
        found = layer.evaluate(shaped, y, weight, self.needed, apart=True, in_place=in_place)
        delta = None
        if self.needed:
            delta = z if in_place else torch.from_numpy(found.delta).reshape(z.shape)
        return found.value, found.denominator, delta

    def _from_above(self, delta: Tensor, rows: slice, columns: slice) -> Tensor:
        """δ times what comes from above by way of the cost."""
        if self.above is None:
            return delta
        factor = self.above.get("cost")
        if factor is None:
            return torch.zeros_like(delta)
        if factor.ndim == 0:
            return delta.mul_(factor)
        if self.pair.two:
            factor = factor[rows].reshape(len(delta), 1, -1)
            return delta.view(len(delta), 2, -1).mul_(factor).view_as(delta)
        return delta.mul_(factor[rows].unsqueeze(1) if factor.ndim == 1 else factor[rows, columns])

    def _beside(self, z: Tensor, rows: slice) -> Tensor | None:
        """What comes from above by way of the logarithm of the sum, and of the entropy, to each score."""
        given = {name: up[rows] for name, up in (self.above or {}).items() if name != "cost"}
        if not given:
            return None
        with torch.enable_grad():
            scores = z.detach().to(self.exact, copy=True).requires_grad_()
            return torch.autograd.grad(self.call.of_softmax(scores, given), scores, [*given.values()])[0]  # type: ignore

    def _multiply(self, inputs: list[Tensor], delta: Tensor, rows: slice, columns: slice, few: Tensor | None) -> None:
        """Add the products of δ, or of a few of its columns, to the gradients."""
        if self.sums[0] is not None:
            _add(self.sums[0][columns], delta.sum(0, dtype=self.exact), self.cleared or rows.start > 0)
        for x, w, by_input, by_weight in zip(inputs, self.weights, self.sums[1::2], self.sums[2::2], strict=True):
            if few is not None:
                part = delta[:, few]
                if by_input is not None:
                    by_input[rows] += product(part, w[few].to(self.work).T)  # type: ignore
                if by_weight is not None:
                    by_weight.index_add_(0, few, product(part.T, x.T).to(self.exact))
                continue
            if by_input is not None:
                more = self.cleared or columns.start > 0
                _add(by_input[rows], product(delta, w[columns].to(self.work).T), more)  # type: ignore
            if by_weight is not None:
                for part in parts(columns):  # one's memory, still in the cache, is the next one's: no name holds it
                    more = self.cleared or rows.start > 0
                    _add(by_weight[part], product(delta[:, _within(part, columns)].T, x.T), more)

    def _few(self, delta: Tensor) -> Tensor | None:
        """The columns in which δ is more than the threshold somewhere; None if that is most of them."""
        if not self.call.threshold:
            return None
        most = torch.maximum(delta.amax(0), -delta.amin(0))
        few = (~(most <= self.call.threshold)).nonzero().squeeze(1)  # and those that are no numbers
        return few if len(few) < delta.shape[1] // 2 else None


def parts(columns: slice) -> Iterator[slice]:
    """Some columns as one product after another."""
    for start in range(columns.start, columns.stop, BLOCK):
        yield slice(start, min(start + BLOCK, columns.stop))


def _within(part: slice, columns: slice) -> slice:
    return slice(part.start - columns.start, part.stop - columns.start)


def _without(x: Tensor, left_out: Tensor) -> Tensor:
    """Inputs without what is no number in rows that are left out: their δ is 0, but 0 · NaN would come into a sum."""
    bad = left_out & ~x.isfinite().all(1)
    return x.masked_fill(bad.unsqueeze(1), 0.0) if bad.any() else x


def _add(total: Tensor, found: Tensor, more: bool) -> None:
    if more:
        total += found
    else:
        total.copy_(found)


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a bᵀ + bias; the same bit for bit with any number of threads.

    By oneDNN, which on many machines is twice as fast as torch.mm in float32, or else by torch.mm with operands filled
    up to whole vectors. Long sums in float32 are cut here: both would cut others by the number of threads.
    """
    if a.dtype is torch.bfloat16 and not a.is_contiguous() and bias is None:
        return torch.mm(a, b.T)  # oneDNN too, and knows what is turned
    if a.dtype is not torch.bfloat16 and a.shape[1] > BLOCK:
        found = product(a[:, :BLOCK], b[:, :BLOCK], bias)
        for start in range(BLOCK, a.shape[1], BLOCK):
            found += product(a[:, start : start + BLOCK], b[:, start : start + BLOCK])
        return found
    if a.dtype is not torch.float64 and ONEDNN and a.shape[1]:
        return torch.ops.mkldnn._linear_pointwise(a, b if _is_matrix(b) else b.contiguous(), bias, "none", [], "")
    found = torch.mm(_filled(a), _filled(b).T)[: len(a), : len(b)]
    return found if bias is None else found + bias


def put_product(place: Tensor, a: Tensor, b: Tensor, bias: Tensor | None) -> None:
    """The same at a place. In bfloat16 torch.mm is oneDNN's too, and writes there itself."""
    if a.dtype is not torch.bfloat16:
        place.copy_(product(a, b, bias))
    elif bias is None:
        torch.mm(a, b.T, out=place)
    else:
        torch.addmm(bias, a, b.T, out=place)


def _is_matrix(b: Tensor) -> bool:
    """Whether oneDNN reads it as it lies: by rows or by columns, one beside the other, and none twice."""
    (down, right), (rows, columns) = b.stride(), b.shape
    return (right == 1 and down >= columns) or (down == 1 and right >= rows)


def _filled(a: Tensor) -> Tensor:
    down, right = (-len(a)) % 16, (-a.shape[1]) % 16
    return F.pad(a, (0, right, 0, down)) if down or right else a
