"""The polynomials of `costlayer.engines.vector_math`, derived anew: near-minimax, each rounded to its arithmetic type.

Prints the table as the module holds it and, for each polynomial, the largest error of the function that is made of it
when nothing else is rounded; says at the end whether the module's table is this one. So it does with the polynomials
that formulas hold. It takes some minutes.

Remez's exchange algorithm on a fine grid of Chebyshev nodes. Coefficients are rounded one after the other, from the
constant on, and those that are left are fitted again, so that they make up for what rounding did.
"""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from mpmath import mp

mp.dps = 60
Real = Callable[[mp.mpf], mp.mpf]
LN2 = mp.log(2)
ROOT = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)  # the largest |s|, s = (m - 1)/(m + 1), of a mantissa m in [√½, √2]


def rounded(kind: str, x: mp.mpf) -> mp.mpf:
    """The nearest number of the arithmetic type."""
    value = float(x)
    return mp.mpf(struct.unpack("f", struct.pack("f", value))[0] if kind == "half" else value)


def fit(values: Sequence[mp.mpf], weights: Sequence[mp.mpf], points: Sequence[mp.mpf], degree: int) -> list[mp.mpf]:
    """The polynomial for which the largest weight · |value − polynomial| over the points is least."""
    size = degree + 2
    chosen = [(2 * i + 1) * len(points) // (2 * size) for i in range(size)]
    for _ in range(60):
        rows = mp.matrix(size, size)
        right = mp.matrix(size, 1)
        for i, at in enumerate(chosen):
            for j in range(degree + 1):
                rows[i, j] = weights[at] * points[at] ** j
            rows[i, degree + 1] = (-1) ** i
            right[i] = weights[at] * values[at]
        solution = list(mp.lu_solve(rows, right))
        polynomial, level = solution[:-1], abs(solution[-1])
        errors = [w * (v - mp.polyval(polynomial[::-1], x)) for v, w, x in zip(values, weights, points, strict=True)]
        peaks: list[int] = []  # the largest error of each run of equal signs
        for at, error in enumerate(errors):
            if peaks and (error > 0) == (errors[peaks[-1]] > 0):
                if abs(error) > abs(errors[peaks[-1]]):
                    peaks[-1] = at
            else:
                peaks.append(at)
        worst = max(map(abs, errors))
        if worst <= level * mp.mpf("1.0001") or len(peaks) < size:
            return polynomial
        while len(peaks) > size:  # alternation must be kept: drop an end, or two neighbours
            if len(peaks) == size + 1:
                del peaks[0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1]
            else:
                least = min(range(len(peaks) - 1), key=lambda i: abs(errors[peaks[i]]) + abs(errors[peaks[i + 1]]))
                del peaks[least : least + 2]
        chosen = peaks
    return polynomial


def minimax(kind: str, function: Real, weight: Real, low, high, degree: int) -> tuple[list[float], mp.mpf]:
    """Coefficients from the constant on, and the largest weighted error that is left."""
    count = 48 * (degree + 2)
    angles = (mp.pi * (2 * i + 1) / (2 * count) for i in range(count))
    points = [(low + high) / 2 - (high - low) / 2 * mp.cos(angle) for angle in angles]
    values, weights = [function(x) for x in points], [abs(weight(x)) for x in points]
    rest, factors, found = list(values), list(weights), []
    for left in range(degree, -1, -1):
        found.append(rounded(kind, fit(rest, factors, points, left)[0]))
        rest = [(value - found[-1]) / x for value, x in zip(rest, points, strict=True)]
        factors = [w * abs(x) for w, x in zip(factors, points, strict=True)]
    error = max(w * abs(v - mp.polyval(found[::-1], x)) for v, w, x in zip(values, weights, points, strict=True))
    return [float(c) for c in found], error


def artanh(z: mp.mpf) -> mp.mpf:
    """2 atanh(s)/s at z = s²."""
    s = mp.sqrt(z)
    return 2 * mp.atanh(s) / s


def tanh(z: mp.mpf) -> mp.mpf:
    """tanh(a)/a at z = a²."""
    a = mp.sqrt(z)
    return mp.tanh(a) / a


def surprise(x: mp.mpf) -> mp.mpf:
    """−ln erfc(x)/x − 1."""
    return -mp.log(mp.erfc(x)) / x - 1


def arctan_over(t: mp.mpf) -> mp.mpf:
    """arctan(x)/x at t = x²."""
    x = mp.sqrt(t)
    return mp.atan(x) / x


def excess(w: mp.mpf) -> mp.mpf:
    """(φ(t)/Φ(−t) − t) (t + 4) at w = (t − 4)/(t + 4)."""
    t = 4 * (1 + w) / (1 - w)
    if t > 1e4:  # where that difference is the series of 1/t
        x = 1 / t
        found = x - 2 * x**3 + 10 * x**5 - 74 * x**7 + 706 * x**9 - 8162 * x**11
    else:
        with mp.workdps(mp.dps + 30):
            found = mp.exp(-t * t / 2) * mp.sqrt(2 / mp.pi) / mp.erfc(t / mp.sqrt(2)) - t
    return found * (t + 4)


def short(u: mp.mpf) -> mp.mpf:
    """(exp(−u) − 1 + u)/u²."""
    with mp.workdps(mp.dps + 30):
        return (mp.exp(-u) - 1 + u) / u**2


SLACK = 1 + mp.mpf("1e-6")  # rounding may take the reduced argument of exp a little further
REDUCED = (-LN2 / 2 * SLACK, LN2 / 2 * SLACK)
UNIT = (mp.mpf(0), mp.mpf(1))
ARTANH = (mp.mpf(0), ROOT**2)
# Name, function, weight (which makes the error that of the result, relative), interval, and the degree for each kind of
# arithmetic. "spare" has digits to spare and "half" needs few: there a polynomial may be the whole function. Elsewhere
# the first terms are kept exact, and it is what remains.
POLYNOMIALS: list[tuple[str, Real, Real, tuple[mp.mpf, mp.mpf], dict[str, int]]] = [
    ("EXP", lambda r: (mp.expm1(r) - r) / r**2, lambda r: r**2 * mp.exp(-r), REDUCED, {"full": 9}),
    ("EXP", lambda r: mp.expm1(r) / r, lambda r: r * mp.exp(-r), REDUCED, {"spare": 5}),  # so that exp(0) is 1
    ("EXP", mp.exp, lambda r: mp.exp(-r), (-LN2 * SLACK, LN2 * SLACK), {"half": 7}),
    ("EXPM1", lambda r: (mp.expm1(r) - r) / r**2, lambda r: r**2 / mp.expm1(r), REDUCED, {"full": 10, "half": 5}),
    ("EXPM1", lambda r: mp.expm1(r) / r, lambda r: r / mp.expm1(r), REDUCED, {"spare": 6}),
    ("LOG", lambda z: (artanh(z) - 2) / z, lambda z: z / artanh(z), ARTANH, {"full": 6, "half": 2}),
    ("LOG", artanh, lambda z: 1 / artanh(z), ARTANH, {"spare": 3}),
    ("LOG1P_UNIT", lambda x: mp.log1p(x) / x, lambda x: x / mp.log1p(x), UNIT, {"spare": 10, "half": 9}),
    (
        "TANH",
        lambda z: (tanh(z) - 1) / z,
        lambda z: z / tanh(z),
        (mp.mpf(0), mp.mpf("0.5625") ** 2),
        {"full": 10, "half": 4},
    ),
    ("ERF", surprise, lambda x: x * mp.erfc(x) / mp.erf(x), (mp.mpf(0), mp.mpf(6)), {"full": 26}),
    ("ERF", surprise, lambda x: x * mp.erfc(x) / mp.erf(x), (mp.mpf(0), mp.mpf("4.5")), {"spare": 11}),
    ("ERF", surprise, lambda x: x * mp.erfc(x) / mp.erf(x), (mp.mpf(0), mp.mpf("3.95")), {"half": 8}),
]


# Of formulas, in the same way: name, file, function, whose relative error counts, interval and degree.
FORMULAS: list[tuple[str, str, Real, tuple[int, int], int]] = [
    ("arctan_over", "distributions", arctan_over, (0, 1), 20),
    ("excess", "distributions", excess, (-1, 1), 29),
    ("short", "pairs/cloglog_cross_entropy", short, (0, 1), 12),
]


def derive() -> dict[str, dict[str, tuple[list[float], mp.mpf]]]:
    """Kind of arithmetic, name, (coefficients, error)."""
    found: dict[str, dict] = {"full": {}, "spare": {}, "half": {}}
    for name, function, weight, (low, high), degrees in POLYNOMIALS:
        for kind, degree in degrees.items():
            found[kind][name] = minimax(kind, function, weight, low, high, degree)
    return found


def main() -> None:
    from costlayer.engines import vector_math

    found = derive()
    for kind, polynomials in found.items():
        print(f'    "{kind}": {{')
        for name, (coefficients, error) in polynomials.items():
            print(f'        "{name}": (  # 2^{float(mp.log(error, 2)):.1f}')
            for coefficient in coefficients:
                print(f"            {coefficient!r},")
            print("        ),")
        print("    },")
    table = {kind: {name: tuple(c) for name, (c, _) in rows.items()} for kind, rows in found.items()}
    print("The module's table is", "the same." if table.items() <= vector_math.COEFFICIENTS.items() else "another one.")
    for name, file, function, (low, high), degree in FORMULAS:
        coefficients, error = minimax(
            "full", function, lambda x, f=function: 1 / f(x), mp.mpf(low), mp.mpf(high), degree
        )
        text = Path(vector_math.__file__).parents[1].joinpath(f"{file}.py").read_text(encoding="utf-8")
        same = all(repr(abs(c)) in text for c in coefficients)
        print(f"{name}, {file}.py: 2^{float(mp.log(error, 2)):.1f}, {'the same' if same else coefficients}")


if __name__ == "__main__":
    main()
