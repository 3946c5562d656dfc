"""Arrays of numbers with 128 bits and a range beyond 1e±4900: the sum of two long doubles, for exact references.

Sums and products of two long doubles are split into the rounded result and its error, which is itself a long double
(Knuth 1969; Dekker 1971); the functions are Taylor series and one Newton step. Needs a long double of at least 64 bits.
"""

from __future__ import annotations

import numpy as np

LONG = np.longdouble
BITS = np.finfo(LONG).nmant + 1
ENOUGH = BITS >= 64 and np.finfo(LONG).maxexp >= 16384
_SPLITTER = LONG(2) ** ((BITS + 1) // 2) + 1


def _two_sum(a, b):
    s = a + b
    c = s - a
    return s, (a - (s - c)) + (b - c)


def _fast_two_sum(a, b):
    s = a + b
    return s, b - (s - a)


def _two_product(a, b):
    p = a * b
    c = _SPLITTER * a
    a_high = c - (c - a)
    c = _SPLITTER * b
    b_high = c - (c - b)
    a_low, b_low = a - a_high, b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


class Extended:
    """An array of numbers high + low, with the arithmetic of arrays."""

    __array_ufunc__ = None  # NumPy leaves mixed arithmetic to this class
    __slots__ = ("high", "low")

    def __init__(self, high, low=None):
        self.high = np.asarray(high, LONG)
        self.low = np.zeros_like(self.high) if low is None else low

    def __add__(self, other):
        other = extended(other)
        s, e = _two_sum(self.high, other.high)
        t, f = _two_sum(self.low, other.low)
        s, e = _fast_two_sum(s, e + t)
        return Extended(*_fast_two_sum(s, e + f))

    def __mul__(self, other):
        other = extended(other)
        p, e = _two_product(self.high, other.high)
        return Extended(*_fast_two_sum(p, e + (self.high * other.low + self.low * other.high)))

    def __truediv__(self, other):
        other = extended(other)
        q = self.high / other.high
        rest = self - other * q
        r = rest.high / other.high
        rest = rest - other * r
        return Extended(*_fast_two_sum(q, r)) + rest.high / other.high

    def __neg__(self):
        return Extended(-self.high, -self.low)

    def __sub__(self, other):
        return self + -extended(other)

    def __rsub__(self, other):
        return extended(other) - self

    def __rtruediv__(self, other):
        return extended(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, other):
        return (self - other).high < 0

    def __le__(self, other):
        return (self - other).high <= 0

    def __gt__(self, other):
        return (self - other).high > 0

    def __ge__(self, other):
        return (self - other).high >= 0

    def __abs__(self):
        sign = np.where(self.high < 0, LONG(-1), LONG(1))
        return Extended(self.high * sign, self.low * sign)

    def __getitem__(self, index):
        return Extended(self.high[index], self.low[index])

    @property
    def shape(self):
        return self.high.shape

    def broadcast(self, shape):
        return Extended(np.broadcast_to(self.high, shape), np.broadcast_to(self.low, shape))


def extended(x) -> Extended:
    return x if isinstance(x, Extended) else Extended(x)


def where(condition, a, b) -> Extended:
    a, b = extended(a), extended(b)
    return Extended(np.where(condition, a.high, b.high), np.where(condition, a.low, b.low))


def sign(x: Extended):
    return np.sign(x.high)


# ln 2 as two long doubles: of Σ 1/(k 2^k), which needs nothing but division.
def _series_of_log_2() -> Extended:
    total = Extended(LONG(0))
    for k in range(140, 0, -1):
        total = total + Extended(LONG(2) ** -k) / k
    return total


LOG_2 = _series_of_log_2()
_TERMS = 16
_DOUBLINGS = 6


def _inverse_factorials() -> list[Extended]:
    found = [Extended(LONG(1))]
    for k in range(1, _TERMS + 1):
        found.append(found[-1] / k)
    return found


_INVERSE_FACTORIAL = _inverse_factorials()
FAR = 4500.0  # exp(±FAR) is beyond every float64, and its square is within a long double


def _halved(x: Extended) -> tuple[np.ndarray, Extended]:
    """k and exp(x − k ln 2) − 1."""
    k = np.rint(x.high / LOG_2.high)
    r = (x - LOG_2 * k) * LONG(2.0**-_DOUBLINGS)
    total = _INVERSE_FACTORIAL[_TERMS]
    for k_factorial in _INVERSE_FACTORIAL[_TERMS - 1 : 0 : -1]:
        total = total * r + k_factorial
    e = total * r
    for _ in range(_DOUBLINGS):
        e = e * (e + 2.0)
    return k, e


def exp(x) -> Extended:
    """e^x; beyond ±4500 as at ±4500, which is beyond the range of every type that is measured."""
    x = extended(x)
    far = abs(x.high) > FAR
    k, e = _halved(where(far, np.sign(x.high) * FAR, x))
    scale = np.ldexp(LONG(1), k.astype(np.int32))
    return (e + 1.0) * scale


def expm1(x) -> Extended:
    x = extended(x)
    near = abs(x.high) < 0.3
    _, e = _halved(where(near, x, 0.0))
    return where(near, e, exp(x) - 1.0)


def log1p(x) -> Extended:
    x = extended(x)
    near = abs(x.high) < 0.5
    return where(near, _near_log1p(where(near, x, 0.0)), _log(where(near, 1.0, x + 1.0)))


def log(x) -> Extended:
    x = extended(x)
    near = (x.high > 0.5) & (x.high < 1.5)
    return where(near, _near_log1p(where(near, x - 1.0, 0.0)), _log(where(near, 1.0, x)))


# A Newton step from the long double's logarithm, by what is left over of x exp(−guess) = 1.
def _near_log1p(x: Extended) -> Extended:
    guess = np.log1p(x.high)
    t = expm1(-Extended(guess))
    rest = x + t + x * t
    return rest - rest * rest * 0.5 + guess


def _log(x: Extended) -> Extended:
    guess = np.log(x.high)
    rest = x * exp(-Extended(guess)) - 1.0
    return rest - rest * rest * 0.5 + guess


def sqrt(x) -> Extended:
    """A Newton step from the long double's root."""
    x = extended(x)
    guess = np.sqrt(x.high)
    safe = np.where(guess == 0, LONG(1), guess)
    return Extended(guess) + (x - Extended(guess) * guess) / (2.0 * safe)


def atan(x) -> Extended:
    """Of x in [0, 1]: five times halved, then by its series."""
    x = extended(x)
    for _ in range(5):
        x = x / (1.0 + sqrt(1.0 + x * x))
    square, total = x * x, Extended(LONG(0))
    for k in range(31, 0, -2):
        total = 1.0 / Extended(LONG(k)) - square * total
    return x * total * 32.0


PI = 4.0 * atan(LONG(1))
