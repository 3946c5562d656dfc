"""What a pair is: an output activation, a cost, and the closed form that stands for both where digits are at stake."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from costlayer import formula
from costlayer.errors import CostLayerError, InvalidType, InvalidValue, nearest
from costlayer.words import product, where


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, each end belonging or not; with `ends_only`, just the two ends.

    >>> 0.0 in Interval(0, 1), 0.0 in Interval(0, 1, low_closed=False), 0.5 in Interval(-1, 1, ends_only=True)
    (True, False, False)
    """

    low: float
    high: float
    low_closed: bool = True
    high_closed: bool = True
    ends_only: bool = False

    def __post_init__(self) -> None:
        if not all(isinstance(end, (int, float)) for end in (self.low, self.high)):
            raise InvalidType("low, high", f"{self.low!r}, {self.high!r}", "two numbers")
        if not self.low < self.high:
            raise InvalidValue("low, high", f"{self.low}, {self.high}", "low < high", "Swap the ends.")
        # an infinite end never belongs: a target or a prediction is a number
        object.__setattr__(self, "low_closed", self.low_closed and math.isfinite(self.low))
        object.__setattr__(self, "high_closed", self.high_closed and math.isfinite(self.high))

    def __contains__(self, x: float) -> bool:
        if self.ends_only:
            return x in (self.low, self.high)
        above = self.low <= x if self.low_closed else self.low < x
        return above and (x <= self.high if self.high_closed else x < self.high)

    def covers(self, other: Interval) -> bool:
        """Whether every number of `other` belongs to this interval."""
        if self.ends_only:
            return self == other
        low = self.low < other.low or (self.low == other.low and (self.low_closed or not other.low_closed))
        high = self.high > other.high or (self.high == other.high and (self.high_closed or not other.high_closed))
        return low and high

    def closure(self) -> Interval:
        """The interval with its finite ends."""
        return Interval(self.low, self.high)

    def bounds(self, dtype) -> tuple[float, float]:
        """The least and the greatest number of the type that belong."""
        kind = np.dtype(dtype).type
        low, high = kind(self.low), kind(self.high)
        low = low if self.low_closed else np.nextafter(low, kind(np.inf))
        high = high if self.high_closed else np.nextafter(high, kind(-np.inf))
        return low, high

    def __str__(self) -> str:
        if self.ends_only:
            return f"{{{_number(self.low)}, {_number(self.high)}}}"
        left, right = "[" if self.low_closed else "(", "]" if self.high_closed else ")"
        return f"{left}{_number(self.low)}, {_number(self.high)}{right}"


def _number(x: float) -> str:
    return {math.inf: "∞", -math.inf: "−∞"}.get(x, f"{x:g}".replace("-", "−"))


REALS = Interval(-math.inf, math.inf)
UNIT = Interval(0.0, 1.0)
POSITIVE = Interval(0.0, math.inf, low_closed=False)
NON_NEGATIVE = Interval(0.0, math.inf)
SIGNS = Interval(-1.0, 1.0, ends_only=True)


@dataclass(frozen=True)
class Parameter:
    """A number that shapes an activation or a cost: its default and the interval it must lie in."""

    default: float
    domain: Interval
    meaning: str


@dataclass(frozen=True)
class Activation:
    """An output activation `v = φ(z)`.

    Arguments:
        name: as written in a pair.
        summary: one sentence.
        range: what `v` can be; a function of the parameters where it depends on them.
        formula, gain: `φ` in terms of z, and `φ'` in terms of z or v, in the notation of `costlayer.formula`.
        given: an equation that says what a further name in the formula stands for.
        terms: `(z, *parameters) -> v, φ'(z), φ''(z)`, in the scalar language. None for a row activation.
        inverse: `(v, *parameters) -> z`, in the scalar language; ±inf at an end that is reached only in the limit.
        error: `(z, y, *parameters) -> v − y, φ'² + φ'' (v − y)`, in the scalar language: the error, and half the second
            derivative of its square, where they would lose digits if made of what `terms` gives. None where not.
        flat: the scores at which the gain all but vanishes, as a typical wrong score (5, -5); empty if nowhere.
        instead: what to use where a flat activation would starve the network. Where its
            cost can do without an activation, that is said too.
        limits: what happens at the extremes.
        reference: where it comes from.
        scale: `(z, *parameters) -> v, l, l', l''/l'², f, g` of a positive v, in the scalar language: l = ln v and its
            derivatives, and v as f g, two factors that have all their digits where v itself is beyond the numbers.
            None where it is no scale.
        parameters: by name, in the order in which `terms` takes them.
        listed: the costs with which the catalogue shows it; with every one that fits, if empty.
        row: whether the scores of one example belong together.
        predict: row activations but softmax: `(z, v, gains, work)`, in the scalar language with loops over the scores
            z of a row, fills in the predictions v and the gains ∂v_j/∂z_j; `work` is room for as many numbers. Such an
            activation has only the costs that are written for it.
        thresholds: whether its scores lie between classes that have an order, so that K classes have K − 1.
        parts: the two activations of one that takes two scores per target, each for its own score; they take no
            parameters. Everything but name, summary and limits is then that of the first.
    """

    name: str
    summary: str
    range: Interval | Callable[..., Interval]
    formula: str
    gain: str
    limits: str
    reference: str
    terms: Callable | None = None
    inverse: Callable | None = None
    error: Callable | None = None
    flat: tuple[float, ...] = ()
    instead: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    listed: tuple[str, ...] = ()
    row: bool = False
    given: str = ""
    predict: Callable | None = None
    thresholds: bool = False
    scale: Callable | None = None
    parts: tuple[Activation, Activation] | None = None

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Cost:
    """A cost `ℓ(v, y)`.

    Arguments:
        name: as written in a pair.
        summary: one sentence.
        domain: where `v` must lie.
        target: where `y` must lie.
        formula, derivative: `ℓ` and `∂ℓ/∂v`, in the notation of `costlayer.formula`.
        terms: `(v, y, *parameters) -> ℓ, ∂ℓ/∂v, ∂²ℓ/∂v²`, in the scalar language. None for a cost of a whole row, which
            the closed forms of its pairs say.
        of_error: whether `terms` takes the error v − y in place of v, `(error, y, *parameters)`, so that an activation
            may hand over an error that no subtraction has rounded.
        natural: the pairs in which it is at its best, for an error to name.
        limits: what happens at the extremes.
        reference: where it comes from.
        elicits_mean: whether the mean of the targets is the constant prediction with the least cost.
        convex: whether it is convex in v.
        steady: whether a larger error, on either side of the target, never gives a smaller slope.
        parameters: by name, in the order in which `terms` takes them.
        steep: whether its slope grows without bound as v nears an end of its domain, so that an activation that
            flattens there starves nobody.
        rows_only: whether it judges the probabilities of one class of several, and nothing else.
        labels_only: whether its targets are class indices, and no probabilities.
        of_one: what its name means for a probability by itself, behind activations that are no softmax; None: the same.
        yes_or_no: whether it is y times the cost of a yes plus 1 − y times that of a no, which `pos_weight` can weigh.
        listed: the activations behind which the catalogue shows it; behind every one that fits, if empty.
        second_domain: where the second of two predictions must lie, for a cost that judges two; else None.
        second_derivative: `∂ℓ` by the second of two predictions.
        symbols: what the formulas call the two predictions.

    The `terms` of two predictions take the second by its logarithm, and give the derivatives by that:
    `-> ℓ, ∂ℓ/∂v, ∂ℓ/∂l, ∂²ℓ/∂v², ∂²ℓ/∂v∂l, ∂²ℓ/∂l²`, where l = ln s. With `of_error` they take
    `(v − y, s, l, f, g, *parameters)`, where s = f g as `Activation.scale` says; else both predictions are taken by
    their logarithms, `(a, ln a, b, ln b, y, *parameters)`, and so are the derivatives.
    """

    name: str
    summary: str
    domain: Interval
    target: Interval
    formula: str
    derivative: str
    terms: Callable | None
    natural: str
    limits: str
    reference: str
    of_error: bool = False
    elicits_mean: bool = False
    convex: bool = True
    steady: bool = True
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    steep: bool = False
    rows_only: bool = False
    labels_only: bool = False
    of_one: Cost | None = None
    yes_or_no: bool = False
    listed: tuple[str, ...] = ()
    second_domain: Interval | None = None
    second_derivative: str = ""
    symbols: tuple[str, str] = ("v", "s")

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class ClosedForm:
    """A pair written as one formula, where composing activation and cost would lose digits.

    Arguments:
        activation, cost: the names of the two.
        summary: one sentence.
        formula, derivative: the cost and δ in terms of z, v and y, in the notation of `costlayer.formula`.
        limits, reference: as for `Cost`. What is empty of these five is that of the composition.
        terms: pointwise pairs: `(z, y, *parameters) -> value, δ, curvature`.
        row_terms: row pairs: `(p, q, log_p, log_q, y, *parameters) -> value, q s, q² s'`, where q = 1 − p, s is the
            derivative of the element's cost by log p, and s' that of s. Scaled by q, both stay finite as p → 1. If
            None, they are composed.
        margin: row pairs whose cost depends on the probability of the true class alone: `(d, e, *parameters) -> value
            and its derivatives by d`, where d = logsumexp of the other scores − the true score, and e = exp(−|d|).
        row: pairs written for a whole row: `(z, t, y, slopes, curves, work, *parameters) -> value`, in the scalar
            language with loops over the scores z of a row. It fills in the derivatives by each score, which come as 0,
            and the diagonal of the second ones. t is the class, or −1 if the targets are the probabilities y; `work` is
            room for as many numbers as there are scores. No score is NaN.
        least: pairs written for a whole row: `(shares, count, *parameters) -> z`, the constant scores with the least
            expected cost where so large a share of `count` examples are of each class.
        falling: whether the scores on both sides of the true class must fall, as its probability is none otherwise.
        single: whether value and δ of float32 scores keep their digits in float32 arithmetic; others take float64.
        canonical: k where δ = k (v − y).
        convex: whether the value is convex in z.
        steady: whether a larger error, on either side of the target, never gives a smaller |δ|.
        starves: whether δ all but vanishes at scores where the output is wrong.
    """

    activation: str
    cost: str
    summary: str = ""
    formula: str = ""
    derivative: str = ""
    limits: str = ""
    reference: str = ""
    terms: Callable | None = None
    row_terms: Callable | None = None
    margin: Callable | None = None
    row: Callable | None = None
    least: Callable | None = None
    falling: bool = False
    single: bool = False
    canonical: float | None = None
    convex: bool = False
    steady: bool = False
    starves: bool = False


@dataclass(frozen=True)
class Pair:
    """An output activation and a cost as one layer. Made by `costlayer.pair`; frozen, comparable, printable.

    `str(pair)` is its name; `print(pair.describe())` shows everything about it.
    """

    activation: Activation
    cost: Cost
    closed: ClosedForm | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (isinstance(self.activation, Activation) and isinstance(self.cost, Cost)):
            given = f"{self.activation!r}, {self.cost!r}"
            raise InvalidType("activation, cost", given, "an Activation and a Cost", "By name: costlayer.pair(name).")
        object.__setattr__(self, "parameters", MappingProxyType(_checked(self, dict(self.parameters))))
        domain = self.cost.domain
        if (self.cost.terms is None or self.activation.predict) and not self.written:
            row = "an activation" if self.cost.terms is None else "an activation of single scores, or softmax,"
            raise InvalidValue(
                "pair",
                f"'{self.name}', where {self.activation} gives v in {self.range}",
                f"{row} that goes with {self.cost}, for v in {domain}",
                f"Use {self.cost.natural if self.cost.terms is None else self.activation.instead}.",
            )
        if self.cost.rows_only and not self.row:
            raise InvalidValue(
                "pair",
                f"'{self.name}'",
                "softmax, as this cost judges one class of several",
                f"Use {self.cost.natural}.",
            )
        if self.two != bool(self.cost.second_domain):
            raise self._miscounted()
        if self.two and not self.cost.second_domain.covers(self.second_range):  # type: ignore
            raise InvalidValue(
                "pair",
                f"'{self.name}', where {self.activation} gives {self.predictions}",
                f"an activation whose second prediction lies in {self.cost.second_domain}, as {self.cost} needs",
                f"Use {self.cost.natural}.",
            )
        if not domain.covers(self.range):
            raise InvalidValue(
                "pair",
                f"'{self.name}', where {self.activation} gives {self.predictions}",
                f"an activation whose values lie in {domain}, where {self.cost} is defined",
                f"Use {self.cost.natural}.",
            )
        # A cost for all real targets may be used on a part of them; one for a set of its own needs all of that set.
        if self.cost.target != REALS and not self.range.closure().covers(self.cost.target):
            raise InvalidValue(
                "pair",
                f"'{self.name}', where {self.activation} gives v in {self.range} only",
                f"an activation that can reach the targets of {self.cost}, {self.cost.target}",
                f"Use {self.cost.natural}.",
            )
        scales = (self.activation.parts or ())[1 if self.cost.of_error else 0 :]
        if any(part.scale is None or part.parameters for part in scales):
            raise InvalidValue(
                "activation",
                f"{self.activation}, of {' and '.join(map(str, scales))}",
                "parts that know their logarithm and take no parameters, for a scale or a shape",
                "exp and softplus do: see costlayer.pair.Activation.scale.",
            )

    @property
    def name(self) -> str:
        """The name, `"activation+cost"`."""
        return f"{self.activation.name}+{self.cost.name}"

    @property
    def range(self) -> Interval:
        """Where the predictions v lie."""
        given = self.activation.range
        if isinstance(given, Interval):
            return given
        return given(*self.activation_values)

    @property
    def second_range(self) -> Interval | None:
        """Where the second of two predictions lies; None where there is one."""
        parts = self.activation.parts
        return parts[1].range if parts else None  # type: ignore

    @property
    def predictions(self) -> str:
        """What the pair predicts and where that lies, in words."""
        if not self.activation.parts:
            return f"v in {self.range}"
        first, second = self.cost.symbols
        return f"{first} in {self.range} and {second} in {self.second_range}"

    @property
    def target(self) -> Interval:
        """Where the targets y must lie."""
        return self.cost.target

    @property
    def targets(self) -> str:
        """What the targets are, as text."""
        if not self.row:
            return str(self.target)
        if self.activation.thresholds:
            return "a class index t from 0 to K − 1, where there are K − 1 scores"
        return "a class index t" if self.cost.labels_only else "a class index, or probabilities"

    @property
    def row(self) -> bool:
        """Whether the scores of one example belong together."""
        return self.activation.row

    @property
    def written(self) -> bool:
        """Whether its cost is written for a whole row of scores, and not as a sum over the classes."""
        return bool(self.closed and self.closed.row)

    @property
    def two(self) -> bool:
        """Whether there are two scores per target, which say a distribution."""
        return bool(self.activation.parts)

    @property
    def values(self) -> tuple[float, ...]:
        """The parameters in the order in which the formula takes them: the activation's, then the cost's."""
        return tuple(self.parameters.values())

    @property
    def activation_values(self) -> tuple[float, ...]:
        """The parameters of the activation alone."""
        return tuple(self.parameters[name] for name in self.activation.parameters)

    @property
    def cost_values(self) -> tuple[float, ...]:
        """The parameters of the cost alone."""
        return tuple(self.parameters[name] for name in self.cost.parameters)

    @property
    def canonical(self) -> float | None:
        """k where the gain cancels and δ = k (v − y); else None."""
        return self.closed.canonical if self.closed else None

    @property
    def canonical_form(self) -> str:
        """What δ is if the pair is canonical, as text: "v − y" or "2 (v − y)"; else empty."""
        return {None: "", 1.0: "v − y"}.get(self.canonical, f"{self.canonical or 0:g} (v − y)")

    @property
    def convex(self) -> bool:
        """Whether the value is known to be convex in z."""
        return self.closed.convex if self.closed else self.activation.name == "identity" and self.cost.convex

    @property
    def steady(self) -> bool:
        """Whether a larger error, on either side of the target, never gives a smaller |δ|; of two the first's."""
        if self.closed:
            return self.closed.steady
        first = self.activation.parts[0] if self.activation.parts else self.activation
        return first.name == "identity" and self.cost.steady

    @property
    def starves(self) -> bool:
        """Whether δ all but vanishes at scores where the output is wrong."""
        return self.closed.starves if self.closed else bool(self.activation.flat) and not self.cost.steep

    @property
    def instead(self) -> str:
        """What to use where the activation starves the network; empty if it does not."""
        if not self.starves:
            return ""
        bare = f"identity+{self.cost.name}" if self.cost.domain == REALS and not self.row else ""
        return ", or ".join(filter(None, (self.activation.instead, bare)))

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.closed and self.closed.summary:
            return self.closed.summary
        if self.activation.name == "identity":
            return self.cost.summary
        if self.starves:
            return f"{self.cost.summary} Behind {self.activation}, whose gain vanishes, it starves: use {self.instead}."
        return f"{self.cost.summary} {self.activation.summary}"

    @property
    def formula(self) -> str:
        """The value in plain text."""
        return formula.text(self._formula(), self._prediction(self._formula()))

    @property
    def derivative(self) -> str:
        """δ in plain text."""
        return formula.text(self._derivative(), self._prediction(self._derivative()))

    @property
    def second_derivative(self) -> str:
        """δ of the second of two scores in plain text; empty where there is one."""
        return formula.text(self._derivative(1), self._prediction(self._derivative(1))) if self.two else ""

    @property
    def formula_latex(self) -> str:
        """The value in LaTeX."""
        return formula.latex(self._formula(), self._prediction(self._formula()))

    @property
    def derivative_latex(self) -> str:
        """δ in LaTeX."""
        return formula.latex(self._derivative(), self._prediction(self._derivative()))

    @property
    def second_derivative_latex(self) -> str:
        """δ of the second of two scores in LaTeX; empty where there is one."""
        return formula.latex(self._derivative(1), self._prediction(self._derivative(1))) if self.two else ""

    @property
    def limits(self) -> str:
        """What happens at the extremes."""
        own = self.closed.limits if self.closed else ""
        return own or " ".join([self.cost.limits, self.activation.limits])

    @property
    def reference(self) -> str:
        """Where the pair comes from."""
        own = self.closed.reference if self.closed else ""
        return own or "; ".join(dict.fromkeys([self.cost.reference, self.activation.reference]))

    def describe(self) -> str:
        """Everything about the pair as readable text: summary, formulas, domains, limits, reference."""
        given = ", ".join(f"{name} = {value:g}" for name, value in self.parameters.items())
        gradient = (
            "a larger error on either side never gives a smaller |δ|"
            if self.steady
            else "|δ| may shrink as the error grows"
        )
        if self.starves:
            gradient = f"starves where {self.activation} is flat; use {self.instead}"
        lines = [
            ("", self.summary),
            ("value", self.formula),
            ("δ_0" if self.two else "δ", self.derivative),
            ("δ_1", self.second_derivative),
            ("LaTeX", self.formula_latex),
            ("", (r"\delta_{0} = " if self.two else r"\delta = ") + self.derivative_latex),
            ("", r"\delta_{1} = " + self.second_derivative_latex if self.two else ""),
            ("parameters", given),
            ("predictions", self.predictions) if self.two else ("prediction v", f"in {self.range}"),
            ("target y", self.targets if self.row else f"in {self.targets}"),
            ("gradient", gradient + (f"; canonical, δ = {self.canonical_form}" if self.canonical else "")),
            ("limits", self.limits),
            ("reference", self.reference),
        ]
        return self.name + "\n" + "\n".join(f"  {title:<13} {text}" for title, text in lines if text)

    def _formula(self) -> str:
        if self.closed and self.closed.formula:
            return self.closed.formula
        if self.row and not self.written:
            return f"sum({formula.indexed(self.cost.formula, 'j')}, j)"
        if self.two:
            return self._of_scores(self.cost.formula)
        return formula.renamed(self.cost.formula, "v", "z") if self.activation.name == "identity" else self.cost.formula

    def _derivative(self, which: int = 0) -> str:
        if self.activation.parts:
            part, symbol = self.activation.parts[which], self.cost.symbols[which]
            slope = (self.cost.derivative, self.cost.second_derivative)[which]
            own = part.gain == part.formula  # exp is its own gain
            gain = symbol if own else formula.renamed(part.gain, "z", f"z[{which}]")
            return self._of_scores(slope if gain == "1" else formula.times(slope, gain))
        if self.closed and self.closed.derivative:
            return self.closed.derivative
        if self.row and not self.written:
            slope_j, slope_k = (formula.indexed(self.cost.derivative, index) for index in "jk")
            return f"v[j]*({slope_j} - sum(({slope_k})*v[k], k))"
        if self.activation.name == "identity":
            return formula.renamed(self.cost.derivative, "v", "z")
        return f"({self.cost.derivative})*({self.activation.gain})"

    def _of_scores(self, source: str) -> str:
        """A formula of two predictions, where the score that is a prediction stands for it."""
        for which, (part, symbol) in enumerate(zip(self.activation.parts or (), self.cost.symbols, strict=True)):
            if part.formula == "z":
                source = formula.renamed(source, symbol, f"z[{which}]")
        return source

    def _prediction(self, source: str) -> str:
        """What v stands for, where a formula mentions it."""
        if self.two:
            return formula.AND.join(
                f"{symbol} == {formula.renamed(part.formula, 'z', f'z[{which}]')}"
                for which, (part, symbol) in enumerate(zip(self.activation.parts or (), self.cost.symbols, strict=True))
                if formula.mentions(source, symbol)
            )
        if not formula.mentions(source, "v"):
            return ""
        said = f"{'v[j]' if self.row else 'v'} == {self.activation.formula}", self.activation.given
        return formula.AND.join(filter(None, said))

    def _miscounted(self) -> InvalidValue:
        """Two predictions for a cost that judges one, or one for a cost that judges two."""
        cost = self.cost
        if self.two:
            expected = f"an activation that gives one prediction in {cost.domain}, where {cost} is defined"
        else:
            (first, second), domains = cost.symbols, (cost.domain, cost.second_domain)
            expected = f"an activation that gives two, {first} in {domains[0]} and {second} in {domains[1]}"
        only = "" if self.two else " only"
        given = f"'{self.name}', where {self.activation} gives {self.predictions}{only}"
        return InvalidValue("pair", given, expected, f"Use {cost.natural}.")

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        given = "".join(f", {name}={value:g}" for name, value in self.parameters.items())
        return f"pair({self.name!r}{given})"

    def __hash__(self) -> int:
        return hash((self.name, self.values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pair) and self._parts() == other._parts()

    def _parts(self) -> tuple:
        return self.activation, self.cost, self.closed, self.values

    def __reduce__(self):
        from costlayer.catalogue import OWN, build  # above this module, which is loaded by the time there is a pair

        named = self.name, dict(self.parameters)
        try:
            known = self.cost.name not in OWN and build(*named) == self  # elsewhere nobody may have registered it
        except CostLayerError:
            known = False
        return (build, named) if known else (Pair, (self.activation, self.cost, self.closed, named[1]))


def chain(gain, bend, value, slope, curve):
    """Value, δ and curvature by the chain rule: `gain`, `bend` are φ', φ'', and `slope`, `curve` those of the cost."""
    return value, product(gain, slope), product(gain * gain, curve) + product(bend, slope)


def chain_error(error, gain, bend, square, value, slope, curve):
    """The same for a cost of the error v − y: wherever it is a square, the curvature is a multiple of `square`,
    φ'² + φ'' (v − y), which an activation knows without a difference of rounded terms."""
    curvature = where(
        slope == curve * error, product(curve, square), product(gain * gain, curve) + product(bend, slope)
    )
    return value, product(gain, slope), curvature


def chain_log(slope, bend, by_log, by_log_twice):
    """δ and curvature of what is taken by a logarithm l: `slope` and `bend` are l' and l''/l'²."""
    return product(slope, by_log), product(slope, product(slope, by_log_twice + product(by_log, bend)))


def over(x, f, g):
    """x / (f g), where f g itself may be beyond the numbers."""
    return where(x == 0.0, where(f == f, x, f), x / f / g)


def error(y, v, gain, bend):
    """v − y and φ'² + φ'' (v − y), of an activation that says no more."""
    return v - y, gain * gain + product(bend, v - y)


def error_row(p, q, y):
    """p − y for one element of a softmax, where p is near 1 from the other end."""
    return where(p > 0.5, (1.0 - y) - q, p - y)


def chain_row(p, q, value, slope, curve):
    """The same for one element of a softmax, as `ClosedForm.row_terms` defines it."""
    return value, q * product(p, slope), q * q * (product(p, slope) + product(p * p, curve))


def _checked(pair: Pair, given: dict[str, float]) -> dict[str, float]:
    known = {**pair.activation.parameters, **pair.cost.parameters}
    for name in given:
        if name not in known:
            fix = nearest(name, known) if known else f"{pair.name} takes no parameters."
            raise InvalidValue(name, f"the unknown parameter {name!r}", f"a parameter of {pair.name}", fix)
    checked = {}
    for name, parameter in known.items():
        value = given.get(name, parameter.default)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise InvalidType(name, f"{value!r} ({type(value).__name__})", "a number", parameter.meaning)
        if float(value) not in parameter.domain:
            raise InvalidValue(name, f"{value}", f"a number in {parameter.domain}", parameter.meaning)
        checked[name] = float(value)
    return checked
