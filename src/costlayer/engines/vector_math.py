"""The elementary functions of the CPU engine: straight lines of arithmetic, which a compiler turns into vectors.

Numba calls the C library for each `exp`; a loop over these functions works on as many elements as a register holds.
Each function is written once, below. `text` gives them for a stored type: polynomials unrolled, literals typed, and
each `if SPARE`, `if SINGLE` or `if HALF` decided. What else differs between the types is in the tables at the end.

| stored            | computed in                                           | error, before rounding to what is stored |
|-------------------|-------------------------------------------------------|------------------------------------------|
| float64           | float64                                               | 1 unit in the last place; tanh and erf 2 |
| float32           | float64, which has digits to spare: short polynomials | 2⁻²⁸ of the result                       |
| float32, "single" | float32, for pairs that bear it                       | 1 unit; exp and log1p_unit only          |
| bfloat16, float16 | float32; passed as uint16, for Numba has neither type | 2 units in the last place of float32     |

For float32 data results below 1e-300 may be 0 and beyond 1e300 infinite, which is the same once stored. Nothing is
reassociated, and `fma` alone may fuse, so that a result does not depend on where in a loop its element stands; without
fusing the bounds hold too. `benchmarks/coefficients.py` derives the polynomials.
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

WORDS = ("absolute", "exp", "expm1", "log", "log1p", "log1p_unit", "maximum", "minimum", "sign", "tanh", "erf", "where")

# What `text` defines before the functions or resolves inside them.
real: Any = None  # the arithmetic type
bits: Any = None  # the unsigned integer of its size
fma: Any = None  # a * b + c, fused where that is as fast
polynomial: Any = None  # polynomial(NAME, x): unrolled into a chain of fma
SPARE: Any = None  # whether the arithmetic has digits to spare,
SINGLE: Any = None  # whether it is that of float32, and what is stored too,
HALF: Any = None  # and whether what is stored has few digits
EXP: Any = None
EXPM1 = LOG = LOG1P_UNIT = TANH = ERF = EXP
LOG2E: Any = None
LN2 = LN2_HIGH = LN2_LOW = EXP_LOW = EXP_HIGH = EXPM1_LOW = ERF_HIGH = SMALLEST = TINY = LOG2E
EXP_ROUND = EXPM1_ROUND = BELOW_ROUND = BELOW_LOW = NEAR = LARGEST = LOG_ROUND = LOG_ROUND_SCALED = SCALE = INFINITY = (
    NAN
) = LOG2E
WIDTH: Any = None
MANTISSA = EXPONENT = SIGN = ROOT_HALF = ABOVE_ROOT = INTEGER = TWICE = WIDTH


def maximum(a, b):
    return a if (a >= b) | (a != a) else b


def minimum(a, b):
    return a if (a <= b) | (a != a) else b


def sign(x):
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else x + 0.0


def exp(x):
    x = EXP_LOW if x < EXP_LOW else x
    x = EXP_HIGH if x > EXP_HIGH else x
    if HALF:  # in steps of 2 ln 2: the power is applied twice, for the result may be subnormal
        t = fma(x, 0.5 * LOG2E, EXP_ROUND)
        n = t - EXP_ROUND
        r = fma(n, -2.0 * LN2_LOW, fma(n, -2.0 * LN2_HIGH, x))
        power = (t.view(bits) << WIDTH).view(real)
        return polynomial(EXP, r) * power * power
    t = fma(x, LOG2E, EXP_ROUND)  # its last bits are n = x/ln 2, rounded, in the form of an exponent
    n = t - EXP_ROUND
    if SPARE:
        r = fma(n, -LN2, x)
        return fma(r, polynomial(EXP, r), 1.0) * (t.view(bits) << WIDTH).view(
            real
        )  # a power of 0 or infinity at the ends
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))
    near = 1.0 + r
    near = near + fma(r * r, polynomial(EXP, r), r - (near - 1.0))
    k = t.view(bits)
    half = bits(k >> 1)  # 2ⁿ in two steps, without losing digits to larger ones
    return near * (half << WIDTH).view(real) * ((k - half) << WIDTH).view(real)


def exp_below(x, top):
    """exp(x − top) for x ≤ top, times a factor that is the same for every x: what a softmax is made of.

    Nothing is subtracted that has to be rounded. The factor is a power of two times exp(top), or just a power of two
    where scores are so large that x − top is exact wherever it matters. Infinite scores are equal to each other.
    """
    top = LARGEST if top > LARGEST else -LARGEST if top < -LARGEST else top
    base = 0.0 if abs(top) < NEAR else top
    ahead = top - base
    low = ahead - BELOW_LOW
    d = (-LARGEST if x < -LARGEST else x) - base
    nothing = d < low
    d = low if nothing else d
    d = ahead if d > ahead else d
    whole = fma(ahead, LOG2E, EXP_ROUND) - EXP_ROUND
    round = BELOW_ROUND - whole
    t = fma(d, LOG2E, round)
    n = t - round
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, d))
    power = (t.view(bits) << WIDTH).view(real)
    power = 0.0 if nothing else power
    if HALF:
        return polynomial(EXP, r) * power
    near = 1.0 + r
    near = near + fma(r * r, polynomial(EXP, r), r - (near - 1.0))
    return near * power


def reach(x):
    """The bits of |x|: whole numbers, in the order of the sizes, and those of NaN above all."""
    return bits(x.view(bits) & ~SIGN)


def expm1(x):
    y = EXPM1_LOW if x < EXPM1_LOW else x
    y = EXP_HIGH if y > EXP_HIGH else y
    t = fma(y, LOG2E, EXPM1_ROUND)
    n = t - EXPM1_ROUND
    power = (t.view(bits) << WIDTH).view(real)  # 2ⁿ/2: 2ⁿ may be too large
    gap = 0.5 - power
    if SPARE:
        r = fma(n, -LN2, y)
        return fma(power, r * polynomial(EXPM1, r), -gap) * 2.0
    first = fma(n, -LN2_HIGH, y)
    r = fma(n, -LN2_LOW, first)
    lost = fma(n, -LN2_LOW, first - r)
    step = power * r
    near = step - gap
    rest = (step - (near + gap)) - (0.5 - (gap + power))
    lost = fma(power, fma(r * r, polynomial(EXPM1, r), fma(lost, r, lost)), rest)
    return (near + lost) * 2.0 if abs(x) > TINY else x


def log_near(k, f, lost):
    """k ln 2 + ln(1 + f) + lost, where √½ ≤ 1 + f < √2."""
    s = f / (f + 2.0)  # ln(1 + f) = 2 artanh s
    z = s * s
    if SPARE:
        return fma(s, polynomial(LOG, z), k * LN2)
    h = 0.5 * f * f
    whole = k * LN2_HIGH
    near = whole + f
    lost = fma(k, LN2_LOW, lost + (f - (near - whole)))
    return near - (h - fma(s, fma(z, polynomial(LOG, z), h), lost))


def log(x):
    if SPARE:
        i = bits(x.view(bits) + ABOVE_ROOT)
        k = ((i >> WIDTH) | INTEGER).view(real) - LOG_ROUND
    else:
        i = bits((x * SCALE if x < SMALLEST else x).view(bits) + ABOVE_ROOT)
        k = ((i >> WIDTH) | INTEGER).view(real) - (LOG_ROUND_SCALED if x < SMALLEST else LOG_ROUND)
    y = log_near(k, ((i & MANTISSA) + ROOT_HALF).view(real) - 1.0, 0.0)
    y = y if x < INFINITY else x
    return y if x > 0.0 else -INFINITY if x == 0.0 else NAN


def log1p(x):
    u = 1.0 + x
    b = u - 1.0
    c = (x - b) + (1.0 - (u - b))  # what rounding took from u
    i = bits(u.view(bits) + ABOVE_ROOT)
    k = ((i >> WIDTH) | INTEGER).view(real) - LOG_ROUND
    m = ((i & MANTISSA) + ROOT_HALF).view(real) - 1.0
    c = c * (TWICE - (i & EXPONENT)).view(real) * 0.5  # 2⁻ᵏ = 2¹⁻ᵏ/2, which is never below the exponents
    f = m + c
    if SPARE:
        y = log_near(k, f, 0.0)
    else:
        lost = c - (f - m)
        y = log_near(k, f, fma(lost, -f, lost))
    y = y if (x < INFINITY) & (x != 0.0) else x
    return y if x > -1.0 else -INFINITY if x == -1.0 else NAN


def log1p_unit(x):
    if SINGLE:
        return fma(x * x, polynomial(LOG1P_UNIT, x), x)
    if LOG1P_UNIT:
        return x * polynomial(LOG1P_UNIT, x)
    folded = 0.5 * x - 0.5
    high = x > 0.41421356
    lost = 0.5 * x - (folded + 0.5)
    return log_near(1.0 if high else 0.0, folded if high else x, lost if high else 0.0)


def tanh(x):
    a = abs(x)
    if TANH:
        z = a * a
        near = fma(a * z, polynomial(TANH, z), a)
        far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0)
        y = near if a < 0.5625 else far
    else:
        e = expm1(-2.0 * a)
        y = -e / (e + 2.0)
    return (y.view(bits) | (x.view(bits) & SIGN)).view(real)


def erf(x):
    a = abs(x)
    a = ERF_HIGH if a > ERF_HIGH else a
    y = -expm1(-fma(a, polynomial(ERF, a), a))  # the polynomial is −ln erfc(a)/a − 1
    return (y.view(bits) | (x.view(bits) & SIGN)).view(real)


# ---- Between what is stored and what is computed with ---------------------------------------------------------------
def load_bfloat16(x):
    return (bits(x) << 16).view(real)


def store_bfloat16(x):
    i = x.view(bits)
    nearest = bits(i + 0x7FFF + ((i >> 16) & 1))
    quiet = bits(i | 0x400000)
    return np.uint16((nearest if x == x else quiet) >> 16)


def load_float16(x):
    i = bits((bits(x) & 0x7FFF) << 13)
    y = i.view(real) * 5.192296858534828e33  # 2¹¹²: from one bias to the other, subnormal numbers too
    y = y if i < 0xF800000 else (i | 0x7F800000).view(real)
    return (y.view(bits) | (bits(x) & 0x8000) << 16).view(real)


def store_float16(x):
    i = x.view(bits)
    size = bits(i & 0x7FFFFFFF)
    low = bits((size.view(real) + 0.5).view(bits) - 0x3F000000)  # from ½ on float32 steps by 2⁻²⁴, as float16 near 0
    nearest = bits(size + 0xC8000FFF + ((size >> 13) & 1)) >> 13  # the bias less by 112
    nearest = low if size < 0x38800000 else bits(nearest)
    end = bits(0x7C00 if size <= 0x7F800000 else 0x7E00)
    nearest = nearest if size < 0x477FF000 else end
    return np.uint16(nearest | ((i >> 16) & 0x8000))


FUNCTIONS = (maximum, minimum, sign, exp, expm1, log_near, log, log1p, log1p_unit, tanh, erf)
KINDS = {"float64": "full", "float32": "spare", "bfloat16": "half", "float16": "half"}  # of arithmetic
SCORES = {"float64": "full", "float32": "half", "bfloat16": "half", "float16": "half"}  # for the scores of a row
CONVERSIONS = {"bfloat16": (load_bfloat16, store_bfloat16), "float16": (load_float16, store_float16)}
STORED = tuple(KINDS)


# ---- The text -------------------------------------------------------------------------------------------------------
_FORMULA = 'error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, fastmath=False'
# What Numba has no word for: single instructions, which are never compiled by themselves and become vectors.
INSTRUCTIONS = """import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


def as_wide_as_it_goes(function):
    # LLVM keeps to 256 bits where the processor has 512 but may clock lower for them; loops of arithmetic gain more.
    # The name is none that llvmlite knows, and its `add` would refuse it.
    set.add(function.attributes, '"prefer-vector-width"="512"')


@intrinsic
def fma(typing, a, b, c):
    def code(context, builder, signature, arguments):
        kind = arguments[0].type
        function = ir.FunctionType(kind, (kind, kind, kind))
        return builder.call(builder.module.declare_intrinsic("llvm.fmuladd", (kind,), function), arguments)
    return a(a, a, a), code


@intrinsic
def where(typing, condition, a, b):
    def code(context, builder, signature, arguments):
        as_wide_as_it_goes(builder.function)
        return builder.select(*arguments)
    kind = typing.unify_types(types.unliteral(a), types.unliteral(b))
    return kind(types.boolean, kind, kind), code


@intrinsic
def reinterpret(typing, x):
    def code(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))
    pairs = (types.float32, types.uint32), (types.float64, types.uint64)
    return next(b if x == a else a for a, b in pairs if x in (a, b))(x), code


@intrinsic
def widen(typing, x):  # a float16, as uint16
    def code(context, builder, signature, arguments):
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())
    return types.float32(types.uint16), code


@intrinsic
def narrow(typing, x):
    def code(context, builder, signature, arguments):
        return builder.bitcast(builder.fptrunc(arguments[0], ir.HalfType()), ir.IntType(16))
    return types.uint16(types.float32), code


@intrinsic
def plus(typing, a, b):
    def code(context, builder, signature, arguments):
        as_wide_as_it_goes(builder.function)
        return builder.fadd(*arguments, flags=("reassoc",))
    return a(a, a), code


@intrinsic
def larger(typing, a, b):
    def code(context, builder, signature, arguments):
        return builder.select(builder.fcmp_ordered(">", *arguments, flags=_FREE), *arguments, flags=_FREE)
    return a(a, a), code


_FREE = ("nnan", "nsz")"""


class Words(NamedTuple):
    """Lines of a module: types and constants, and the functions that need them."""

    constants: str
    functions: str


@cache
def text(storage: str) -> str:
    """The start of a module for a stored type: "float64", "float32", "bfloat16" or "float16".

    It stands by itself, and defines `real` (the arithmetic type), `double`, the decorator `formula`, the words in
    `WORDS`, `fma`, `load` (an element of a stored array -> real) and `store` (real -> an element); and `plus` and
    `larger`, which a loop may take in any order.
    """
    return "\n\n\n".join((INSTRUCTIONS, *words(storage, KINDS[storage])))


@cache
def words(storage: str, kind: str, instructions: bool = False) -> Words:
    """The words, in a kind of arithmetic; without `load` and `store` of a half unless it is computed in its own.
    `instructions`: whether the processor has some for float16."""
    constants = [
        f"real, bits, double = np.{_TYPES[kind][0]}, np.{_TYPES[kind][1]}, np.float64",
        f"formula = njit({_FORMULA})",
        "absolute, sqrt = abs, np.sqrt",
        "INFINITY, NAN = real(np.inf), real(np.nan)",
        *(f"{name} = real({value!r})" for name, value in _reals(kind).items()),
        *(f"{name} = bits({value:#x})" for name, value in _integers(kind).items()),
        *_polynomials(kind),
    ]
    functions: dict[str, Callable] = {function.__name__: function for function in FUNCTIONS}
    if storage not in CONVERSIONS:
        constants.append(f"load, store = real, np.{storage}")
    elif kind == KINDS[storage]:
        _convert(storage, instructions, constants, functions)
    return Words("\n".join(constants), _definitions(_Lower(kind), functions))


@cache
def rows(storage: str, loaded: bool = True, instructions: bool = False) -> Words:
    """What the loops over rows need beside `words`: the type `score` that their exponentials have, float64 for float64
    data and else float32; `exp_below` and `reach`. Unless `loaded`, `load` and `store` of float16 and bfloat16 too, by
    way of `score`, for arithmetic in float64."""
    kind = SCORES[storage]
    own = [*_reals(kind), *_integers(kind), *(line.split(" = ")[0] for line in _polynomials(kind))]
    lower = _Lower(kind, {"real": "score", "bits": "score_bits", **{name: f"SCORE_{name}" for name in own}})
    functions: dict[str, Callable] = {"exp_below": exp_below, "reach": reach}
    constants = [
        f"score, score_bits = np.{_TYPES[kind][0]}, np.{_TYPES[kind][1]}",
        *(f"SCORE_{name} = score({value!r})" for name, value in _reals(kind).items()),
        *(f"SCORE_{name} = score_bits({value:#x})" for name, value in _integers(kind).items()),
        *(f"SCORE_{line}".replace("real(", "score(") for line in _polynomials(kind) if line.startswith("EXP_")),
    ]
    if not loaded:
        _convert(storage, instructions, constants, functions)
    return Words("\n".join(constants), _definitions(lower, functions))


def _convert(storage: str, instructions: bool, constants: list[str], functions: dict[str, Callable]) -> None:
    """Add `load` and `store` of a half."""
    if storage == "float16" and instructions:
        constants.append("load, store = widen, narrow")
    else:
        functions["load"], functions["store"] = CONVERSIONS[storage]


def _definitions(lower: _Lower, functions: Mapping[str, Callable]) -> str:
    return "\n\n\n".join(f"@formula\n{lower.function(name, function)}" for name, function in functions.items())


def _polynomials(kind: str) -> list[str]:
    tables = COEFFICIENTS[kind].items()
    return [f"{name}_{i} = real({c!r})" for name, coefficients in tables for i, c in enumerate(coefficients)]


@cache
def bind(storage: str) -> types.SimpleNamespace:
    """The same text run by plain Python, on NumPy scalars, never fused; callers silence NumPy's warnings."""
    names: dict[str, Any] = {
        "np": np,
        "njit": lambda **options: lambda function: function,
        "fma": lambda a, b, c: a * b + c,
        "where": lambda condition, a, b: a if condition else b,
    }
    text = "\n\n\n".join(words(storage, KINDS[storage]))
    exec(compile(text, f"<vector math for {storage}>", "exec"), names)
    real, bits = names["real"], names["bits"]
    names["reinterpret"] = lambda x: x.view(bits if isinstance(x, real) else real)
    return types.SimpleNamespace(**names)


class _Lower(ast.NodeTransformer):
    """A function above as it stands in the text."""

    def __init__(self, kind: str, names: Mapping[str, str] = MappingProxyType({})) -> None:
        self.kind, self.names = kind, names  # what the text calls what these functions do

    def function(self, name: str, function: Callable) -> str:
        (tree,) = ast.parse(inspect.getsource(function)).body
        assert isinstance(tree, ast.FunctionDef)
        if ast.get_docstring(tree):
            del tree.body[0]
        tree.name = name
        self.visit(tree)
        end = next(i for i, statement in enumerate(tree.body) if isinstance(statement, ast.Return))
        del tree.body[end + 1 :]  # what stands after `if SPARE: return`
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                node.id = self.names.get(node.id, node.id)
        return ast.unparse(ast.fix_missing_locations(tree))

    def visit_If(self, node):  # SPARE, HALF, or a polynomial that not every kind of arithmetic has
        holds = ast.unparse(node.test) in (self.kind.upper(), *COEFFICIENTS[self.kind])
        return [self.visit(statement) for statement in (node.body if holds else node.orelse)]

    def visit_Call(self, node):
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "view":  # of what Numba must see to be a scalar
            other = "real" if ast.unparse(node.args[0]) == "bits" else "bits"
            node = _call("reinterpret", _call(other, node.func.value))
        if not (isinstance(node.func, ast.Name) and node.func.id == "polynomial"):
            return node
        name, x = map(ast.unparse, node.args)
        *lower, chain = (f"{name}_{i}" for i in range(len(COEFFICIENTS[self.kind][name])))
        for coefficient in reversed(lower):
            chain = f"fma({chain}, {x}, {coefficient})"
        return ast.parse(chain, mode="eval").body

    def visit_Constant(self, node):
        kind = {float: "real", int: "bits"}.get(type(node.value))
        return _call(kind, node) if kind else node

    def visit_IfExp(self, node):  # as one instruction, without a branch
        self.generic_visit(node)
        return _call("where", node.test, node.body, node.orelse)


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


# ---- The tables -----------------------------------------------------------------------------------------------------
_TYPES = {"full": ("float64", "uint64", 52), "spare": ("float64", "uint64", 52), "half": ("float32", "uint32", 23)}
_TYPES["single"] = _TYPES["half"]
# ln 2 in two parts, the first with zeros at its end, so that any n ln 2 of it is exact. Arguments are drawn in to where
# exp is 0 or infinite already, expm1 -1, erf 1.
_DOUBLE = {"LN2_HIGH": 0.6931471803691238, "LN2_LOW": 1.9082149292705877e-10, "EXPM1_LOW": -38.0, "TINY": 2.0**-54}
_LIMITS = {
    "full": {"EXP_LOW": -746.0, "EXP_HIGH": 710.0, "ERF_HIGH": 6.0, **_DOUBLE},
    "spare": {"EXP_LOW": -709.0, "EXP_HIGH": 710.0, "ERF_HIGH": 4.5, **_DOUBLE},
    "half": {
        "EXP_LOW": -104.0,
        "EXP_HIGH": 89.0,
        "ERF_HIGH": 3.95,
        "LN2_HIGH": 0.693145751953125,
        "LN2_LOW": 1.428606820309417e-06,
        "EXPM1_LOW": -18.0,
        "TINY": 2.0**-25,
    },
}


_LIMITS["single"] = _LIMITS["half"]


def _reals(kind: str) -> dict[str, float]:
    name, _, width = _TYPES[kind]
    bias = 1023 if width == 52 else 127
    round = 1.5 * 2.0**width  # added to a number, it leaves the nearest whole one in the last bits
    return {
        **_LIMITS[kind],
        "LN2": 0.6931471805599453,
        "LOG2E": 1.4426950408889634,
        "EXP_ROUND": round + (2 * bias if kind in ("full", "single") else bias),
        # exponentials of a row keep their digits down to where the smallest number is, so they may be that much larger
        "BELOW_ROUND": round + bias + width + 1,
        "BELOW_LOW": (bias + width) * 0.6931471805599453,
        # up to where n LN2_HIGH is exact, fused or not, and from where on differences of near scores are
        "NEAR": 2.0**16 if width == 52 else 2.0**8,
        "LARGEST": float(np.finfo(name).max),
        "EXPM1_ROUND": round + bias - 1,
        "SMALLEST": 2.0 ** (1 - bias),
        "SCALE": 2.0 ** (width + 2),
        "LOG_ROUND": 2.0**width + bias,
        "LOG_ROUND_SCALED": 2.0**width + bias + width + 2,
    }


def _integers(kind: str) -> dict[str, int]:
    name, unsigned, width = _TYPES[kind]
    real, bits = np.dtype(name).type, np.dtype(unsigned).type
    one, root = (int(real(value).view(bits)) for value in (1.0, 0.5**0.5))
    return {
        "WIDTH": width,
        "MANTISSA": (1 << width) - 1,
        "EXPONENT": int(real(np.inf).view(bits)),
        "SIGN": int(real(-0.0).view(bits)),
        "ROOT_HALF": root,
        "ABOVE_ROOT": one - root,
        "INTEGER": int(real(2.0**width).view(bits)),
        "TWICE": 2 * one + (1 << width),
    }


COEFFICIENTS: dict[str, dict[str, tuple[float, ...]]] = {
    "full": {
        "EXP": (  # 2^-57.9
            0.5000000000000011,
            0.16666666666666466,
            0.04166666666652881,
            0.008333333333470196,
            0.0013888888943697172,
            0.00019841269546272712,
            2.4801493174503828e-05,
            2.7557558464030383e-06,
            2.7630193622973195e-07,
            2.5007219958153797e-08,
        ),
        "EXPM1": (  # 2^-61.6
            0.5,
            0.16666666666666677,
            0.04166666666666669,
            0.008333333333321771,
            0.00138888888888864,
            0.00019841269885352428,
            2.4801587295948085e-05,
            2.7557245205791725e-06,
            2.7557314787464215e-07,
            2.5108648565753443e-08,
            2.0898300553845235e-09,
        ),
        "LOG": (  # 2^-58.8
            0.6666666666666734,
            0.3999999999941705,
            0.2857142874189588,
            0.22222198620303849,
            0.18183563491026272,
            0.1531398943573672,
            0.14797722051470277,
        ),
        "TANH": (  # 2^-59.7
            -0.33333333333333276,
            0.13333333333322822,
            -0.05396825396154673,
            0.021869488322276486,
            -0.008863231556397531,
            0.003592081442249915,
            -0.0014554744793083786,
            0.0005881625384494766,
            -0.00023266282347834407,
            8.228489355439137e-05,
            -1.8857375901798765e-05,
        ),
        "ERF": (  # 2^-55.1
            0.1283791670955126,
            0.6366197723675759,
            0.10277260330232693,
            -0.01912844701996922,
            -0.00020919447763204514,
            0.0016962044547864817,
            -0.0005901141193809137,
            2.5830833973120436e-05,
            6.463846471835825e-05,
            -3.0064328551328456e-05,
            4.017852831445821e-06,
            1.9739960656695407e-06,
            -7.749097329329028e-07,
            -5.352423372947652e-07,
            7.725594410252152e-07,
            -5.176626086590165e-07,
            2.464732484437921e-07,
            -9.151067053946485e-08,
            2.726504325993418e-08,
            -6.550781997882972e-09,
            1.2597599818623836e-09,
            -1.9073097257715908e-10,
            2.2148171782530537e-11,
            -1.8951416406419115e-12,
            1.1198802610050425e-13,
            -4.055770725992447e-15,
            6.727167006329631e-17,
        ),
    },
    "spare": {
        "EXP": (  # 2^-28.9
            1.000000032162689,
            0.4999999420932933,
            0.16666431272952034,
            0.041668002034306754,
            0.008374154464849301,
            0.0013843650685800878,
        ),
        "EXPM1": (  # 2^-32.0
            1.000000000031208,
            0.5000000046649893,
            0.16666666249798956,
            0.0416663544593019,
            0.008333402866210407,
            0.001394100421595628,
            0.00019841265161212325,
        ),
        "LOG": (  # 2^-30.4
            1.9999999986211918,
            0.6666681595378361,
            0.39974794833653227,
            0.2992565045294709,
        ),
        "LOG1P_UNIT": (  # 2^-29.8
            0.9999999992565916,
            -0.4999998143289073,
            0.3333255962217728,
            -0.24987270928817248,
            0.19890748431349703,
            -0.1610569481133719,
            0.12418444171229555,
            -0.08244186119512033,
            0.041478292461594735,
            -0.013407527672033763,
            0.002030227354833007,
        ),
        "ERF": (  # 2^-33.3
            0.1283791669862717,
            0.6366197887736353,
            0.10277220674676482,
            -0.019124787318744785,
            -0.00022624658490982163,
            0.0017420997601807111,
            -0.0006667909147367438,
            0.00010802083971761146,
            8.51099404291176e-06,
            -7.864129668543924e-06,
            1.51008789679925e-06,
            -1.0578101744152545e-07,
        ),
    },
    "half": {
        "EXP": (  # 2^-25.9
            1.0,
            1.0,
            0.5000003576278687,
            0.166666179895401,
            0.041661228984594345,
            0.008335942402482033,
            0.0014104822184890509,
            0.0001962690002983436,
        ),
        "EXPM1": (  # 2^-31.1
            0.5,
            0.1666666567325592,
            0.04166649281978607,
            0.008333547972142696,
            0.001393230864778161,
            0.00019760186842177063,
        ),
        "LOG": (  # 2^-30.2
            0.6666677594184875,
            0.399775892496109,
            0.2987057566642761,
        ),
        "LOG1P_UNIT": (  # 2^-27.4
            1.0,
            -0.4999993145465851,
            0.33330464363098145,
            -0.24958014488220215,
            0.19692057371139526,
            -0.15344713628292084,
            0.10660826414823532,
            -0.0574544258415699,
            0.02008497528731823,
            -0.003290256019681692,
        ),
        "TANH": (  # 2^-29.3
            -0.3333331346511841,
            0.13332436978816986,
            -0.05383573845028877,
            0.02100016176700592,
            -0.00616903742775321,
        ),
        "ERF": (  # 2^-27.8
            0.12837916612625122,
            0.6366195678710938,
            0.10277630388736725,
            -0.01914781890809536,
            -0.00016951911675278097,
            0.0016756982076913118,
            -0.0006373782525770366,
            0.00011886601714650169,
            -9.388515536556952e-06,
        ),
    },
}
_HALF = COEFFICIENTS["half"]
COEFFICIENTS["single"] = {**_HALF, "EXP": _HALF["EXP"][2:], "LOG1P_UNIT": _HALF["LOG1P_UNIT"][1:]}
