"""The formulas as torch operations: on every device, in compiled graphs, and under every transform of torch.func.

They take several passes where the CPU engine takes one, but are the same formulas, and so keep the same digits.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from costlayer.catalogue import build
from costlayer.engines import reference
from costlayer.errors import UnsupportedDerivative
from costlayer.evaluate import score_axis
from costlayer.pair import Pair
from costlayer.torch import rows


def _where(condition: Any, a: Any, b: Any) -> Any:
    if not isinstance(condition, Tensor):  # about parameters alone
        return a if condition else b
    return torch.where(condition, a, b)


def _maximum(a: Any, b: Any) -> Any:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.maximum(a, b)
    return torch.clamp(a, min=b) if isinstance(a, Tensor) else torch.clamp(b, min=a)


def _minimum(a: Any, b: Any) -> Any:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.minimum(a, b)
    return torch.clamp(a, max=b) if isinstance(a, Tensor) else torch.clamp(b, max=a)


def _of_both(name: str) -> Any:
    """A word for tensors, and for parameters, which are plain numbers."""
    on_tensors, on_numbers = getattr(torch, name), reference.WORDS
    plain = on_numbers["absolute" if name == "abs" else name]
    return lambda x: on_tensors(x) if isinstance(x, Tensor) else float(plain(x))


WORDS = {
    **reference.WORDS,
    **{word: _of_both(word) for word in ("erf", "exp", "expm1", "log", "log1p", "sign", "tanh")},
    "absolute": _of_both("abs"),
    "log1p_unit": _of_both("log1p"),
    "maximum": _maximum,
    "minimum": _minimum,
    "where": _where,
    "real": float,
    "double": float,
}


def exporting() -> bool:
    """Whether a graph is being made that is to run elsewhere: see `costlayer.torch.export`."""
    return tracing() or (_is_exporting() and not torch.compiler.is_dynamo_compiling())


def tracing() -> bool:
    """Whether that is by torch.jit.trace, which the old exporter of ONNX goes by."""
    return torch.jit.is_tracing()  # type: ignore — which torch does not list


_is_exporting: Any = getattr(torch.compiler, "is_exporting", lambda: False)  # older versions of torch do not tell


@cache
def program(pair: Pair) -> SimpleNamespace:
    """The formulas of a pair over tensors."""
    return reference.bind(pair, WORDS)


@cache
def tanh() -> SimpleNamespace:
    """tanh over tensors, by the activation's own formula."""
    return program(build("tanh+mse", {}))


def capped(formulas: SimpleNamespace, z: Tensor, softcap: float | Tensor) -> Tensor:
    """softcap · tanh(z / softcap): φ of tanh, whose gain keeps its digits where 1 − tanh² has none."""
    return softcap * activated(formulas, z / softcap, ())


class _Form:
    """What a function needs to know beside tensors, as one thing."""

    pair: Any  # None where it is an activation alone

    def __init__(
        self, formulas: SimpleNamespace, pair: Pair | None, values: tuple[float, ...], axis: int | None = None
    ) -> None:
        self.formulas, self.values, self.axis = formulas, values, axis
        self.pair: Any = pair  # None for an activation by itself


def cost(
    formulas: SimpleNamespace,
    pair: Pair,
    z: Tensor,
    y: Tensor,
    axis: int | None,
    values: tuple[float, ...] | None = None,
) -> Tensor:
    """The cost of each example: scores and targets of one shape or, with the classes along `axis`, class indices; or
    with two scores along `axis`, one target for both. `values` are parameters in place of the pair's own.

    Differentiable by the scores, twice; a third derivative is refused.
    """
    form = _Form(formulas, pair, pair.values if values is None else values, axis)
    if torch.compiler.is_compiling():
        with torch.no_grad():
            value, delta = _evaluate(z, y, form)
        return _with_slope(value, z, delta, axis)
    return _Cost.apply(z, y, form)[0]  # type: ignore


def refuse_nested_forward_mode() -> None:
    """Forward mode of forward mode: torch calls `jvp` without the outer tangents, and the outcome would be nought."""
    functorch: Any = torch._C._functorch  # type: ignore
    stack = functorch.get_interpreter_stack() or ()
    if sum(each.key() == functorch.TransformType.Jvp for each in stack) > 1:
        raise UnsupportedDerivative(
            "z",
            "forward mode within forward mode, of whose outer tangents torch tells no function of one's own",
            "forward mode over backward mode",
            "Use torch.func.hessian, or jacfwd of jacrev.",
        )


def _with_slope(value: Tensor, z: Tensor, slope: Tensor, axis: int | None = None) -> Tensor:
    """The value, with a derivative given by hand: in compiled graphs a custom function may not say all that ours do."""
    still = z.detach()
    most = torch.finfo(z.dtype).max  # as nothing times infinity would not be nothing
    moved = torch.where(still.isfinite(), z - still, 0.0) * slope.clamp(-most, most)
    return value + (moved if axis is None else moved.sum(axis))


def _limit(z: Tensor, axis: int) -> Tensor:
    """Scores as they are, or where one of a row is infinite such as have the shares of the limit."""
    top = z.amax(axis, keepdim=True)
    least = z - torch.inf  # NaN stays NaN, beside ∞ too, which some runtimes take for the largest of both
    return torch.where(top.abs() == torch.inf, torch.where(z == top, 0.0, least), z)


def _shares(z: Tensor, axis: int) -> tuple[Tensor, ...]:
    """p, 1 − p and their logarithms; 1 − p of the likeliest class is the sum over the others."""
    z = _limit(z, axis)
    log_p = torch.log_softmax(z, axis)
    p = log_p.exp()
    best = torch.zeros_like(z, dtype=torch.bool).scatter(axis, z.argmax(axis, keepdim=True), True)
    q = torch.where(best, torch.where(best, 0.0, p).sum(axis, keepdim=True), 1.0 - p)
    return p, q, log_p, torch.where(best, q.log(), torch.log1p(-p))


def _difference(a: Tensor, b: Tensor) -> Tensor:
    """a − b, with equals apart by nothing, infinities too."""
    return torch.where(a == b, 0.0, a - b)


def _evaluate(z: Tensor, y: Tensor, form: _Form) -> tuple[Tensor, Tensor]:
    """The cost of each example, and δ."""
    formulas, values, axis = form.formulas, form.values, form.axis
    if hasattr(formulas, "rows"):
        return formulas.rows(z, y, axis)
    if axis is None:
        value, delta, _ = formulas.terms(z, y, *values)
        return value, delta
    if form.pair.written:
        return rows.evaluate(form.pair, z, y, axis)
    if form.pair.two:
        value, *slopes, _, _, _ = formulas.terms(*z.unbind(axis), y, *values)
        return value, torch.stack(slopes, axis)
    if y.is_floating_point():
        p, q, log_p, log_q = _shares(z, axis)
        terms, slope, _ = formulas.row_terms(p, q, log_p, log_q, y, *values)
        slope = torch.where(q == 0.0, 0.0, slope / q)
        return terms.sum(axis), slope - p * slope.sum(axis, keepdim=True)
    label = y.unsqueeze(axis)
    if not hasattr(formulas, "margin"):
        one_hot = torch.zeros_like(z).scatter(axis, label, 1.0)
        return _evaluate(z, one_hot, form)
    true = z.gather(axis, label)
    rest = z.scatter(axis, label, -torch.inf)
    top = rest.amax(axis, keepdim=True)
    odds = torch.where(rest == top, 1.0, (rest - top).exp()).scatter(axis, label, 0.0)
    total = odds.sum(axis, keepdim=True)
    d = _difference(top, true) + total.log()
    value, slope, _ = formulas.margin(d, torch.exp(-d.abs()), *values)
    return value.squeeze(axis), (odds / total * slope).scatter(axis, label, -slope)


def _along(z: Tensor, y: Tensor, u: Tensor, form: _Form) -> Tensor:
    """How δ changes along u: the product of the Hessian, which is symmetric, and u."""
    formulas, values, axis = form.formulas, form.values, form.axis
    if hasattr(formulas, "rows"):
        return formulas.rows_along(z, u, axis)
    if axis is None:
        return formulas.terms(z, y, *values)[2] * u
    if form.pair.written:
        return rows.along(form.pair, z, y, u, axis)
    if form.pair.two:
        *_, first, both, second = formulas.terms(*z.unbind(axis), y, *values)
        u_0, u_1 = u.unbind(axis)
        return torch.stack((first * u_0 + both * u_1, both * u_0 + second * u_1), axis)
    if not y.is_floating_point():
        y = torch.zeros_like(z).scatter(axis, y.unsqueeze(axis), 1.0)
    p = torch.softmax(_limit(z, axis), axis)
    turn = p * (u - (p * u).sum(axis, keepdim=True))  # of p
    if form.pair.canonical:
        return turn * y.sum(axis, keepdim=True)
    inside = p.clamp(torch.finfo(p.dtype).tiny, 1.0 - torch.finfo(p.dtype).eps)
    _, slope, curve = formulas.cost(inside, y, *values)
    bend = curve * turn
    mean = (p * slope).sum(axis, keepdim=True)
    return turn * (slope - mean) + p * (bend - (turn * slope + p * bend).sum(axis, keepdim=True))


class _Cost(torch.autograd.Function):
    """The cost and δ, which counts as an output: a second derivative comes back by way of it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z, y, form):
        return _evaluate(z, y, form)

    @staticmethod
    def setup_context(ctx, inputs, output):
        z, y, ctx.form = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(z, y, output[1])
        ctx.save_for_forward(z, y, output[1])

    @staticmethod
    def backward(ctx, upstream, upstream_of_delta):
        z, y, delta = ctx.saved_tensors
        axis = ctx.form.axis
        found = None
        if upstream is not None:
            found = delta * (upstream if axis is None else upstream.unsqueeze(axis))
        if upstream_of_delta is not None:
            second = _Along.apply(z, y, upstream_of_delta, ctx.form)
            found = second if found is None else found + second
        return found, None, None

    @staticmethod
    def jvp(ctx, tangent, *_):
        z, y, delta = ctx.saved_tensors
        axis = ctx.form.axis
        first = delta * tangent
        return first if axis is None else first.sum(axis), _Along.apply(z, y, tangent, ctx.form)


class _Along(torch.autograd.Function):
    """The change of δ along a direction."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z, y, u, form):
        return _along(z, y, u, form)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.set_materialize_grads(False)
        z, y, _, ctx.form = inputs
        ctx.save_for_backward(z, y)
        ctx.save_for_forward(z, y)

    @staticmethod
    def backward(ctx, upstream):
        z, y = ctx.saved_tensors
        if upstream is None:
            return (None,) * 4
        if ctx.needs_input_grad[0] and _is_asked_for(ctx.next_functions[0][0]):
            raise _refusal()
        return None, None, _Along.apply(z, y, upstream, ctx.form), None

    @staticmethod
    def jvp(ctx, moved, _, turned, *rest):
        z, y = ctx.saved_tensors
        if moved is not None:  # a third derivative: nothing may be made of it, and forward mode comes by here anyway
            return torch.full_like(moved, torch.nan)
        return _Along.apply(z, y, turned, ctx.form)


def predict(formulas: SimpleNamespace, pair: Pair, z: Tensor) -> Tensor:
    """φ(z), with what autograd needs for its derivative."""
    if pair.two:
        axis = min(1, z.ndim - 1) if tracing() else score_axis(pair, z)  # where export.predict has looked at it
        found = zip((formulas.first, formulas.second), z.unbind(axis), strict=True)
        parts = [activated(SimpleNamespace(activation=of, real=formulas.real), score, ()) for of, score in found]
        return torch.stack(parts, axis)
    if pair.row:
        axis = min(1, z.ndim - 1)
        return rows.predict(pair, z, axis) if pair.written else torch.softmax(_limit(z, axis), axis)
    return activated(formulas, z, pair.activation_values)


def activated(formulas: SimpleNamespace, z: Tensor, values: tuple) -> Tensor:
    """A pointwise activation, differentiable twice."""
    if exporting() and not (z.requires_grad and torch.is_grad_enabled()):
        return formulas.activation(z, *map(formulas.real, values))[0]
    if torch.compiler.is_compiling():
        with torch.no_grad():
            v, gain, _ = formulas.activation(z, *map(formulas.real, values))
        return _with_slope(v, z, gain)
    return _Prediction.apply(z, _Form(formulas, None, values), 0)  # type: ignore


class _Prediction(torch.autograd.Function):
    """φ, or one of its first derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z, form, order):
        found = form.formulas.activation(z, *form.values)[order]
        return found.clone() if found is z else found

    @staticmethod
    def setup_context(ctx, inputs, output):
        z, ctx.form, ctx.order = inputs
        ctx.save_for_backward(z)
        ctx.save_for_forward(z)

    @staticmethod
    def _slope(ctx):
        if ctx.order == 2:
            raise _refusal()
        (z,) = ctx.saved_tensors
        return _Prediction.apply(z, ctx.form, ctx.order + 1)

    @staticmethod
    def backward(ctx, upstream):
        return upstream * _Prediction._slope(ctx), None, None

    @staticmethod
    def jvp(ctx, tangent, *_):
        return tangent * _Prediction._slope(ctx)


def _is_asked_for(node: Any) -> bool:
    """Whether the gradient that goes to this node is part of what is being computed, as far as torch tells."""
    try:
        return torch._C._will_engine_execute_node(node)
    except RuntimeError:  # of leaves it does not
        return True


def _refusal() -> UnsupportedDerivative:
    return UnsupportedDerivative(
        "z", "a third derivative through the cost layer", "the first and the second", "There is no closed form for it."
    )
