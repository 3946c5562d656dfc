"""The polynomials of `costlayer.engines.vector_math`, derived anew: near-minimax, each rounded to its arithmetic type.

Prints the table as the module holds it and, for each polynomial, the largest error of the function that is made of it
when nothing else is rounded; says at the end whether the module's table is this one. It takes some minutes.

Remez's exchange algorithm on a fine grid of Chebyshev nodes. Coefficients are rounded one after the other, from the
constant on, and those that are left are fitted again, so that they make up for what rounding did.
"""

import struct
from collections.abc import Callable, Sequence

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


if __name__ == "__main__":
    main()
