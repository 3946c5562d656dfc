"""The vector functions: against the truth at samples of every size, at every special value, and as machine code."""

import platform
import re
from functools import cache

import numpy as np
import pytest
import torch
from mpmath import mp

from costlayer.engines import vector_math

FUNCTIONS = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "log1p_unit": mp.log1p,
    "tanh": mp.tanh,
    "erf": mp.erf,
}
STORED = vector_math.STORED
HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
ULPS = {"float64": {"tanh": 2, "erf": 2}, "bfloat16": dict.fromkeys(FUNCTIONS, 2)}  # 1 elsewhere
RELATIVE = mp.mpf(2) ** -28
LOOPS = """

@njit(error_model="numpy")
def real_{name}(x, out):
    for i in range(x.size):
        out[i] = {name}(x[i])


@njit(error_model="numpy")
def stored_{name}(x, out):
    for i in range(x.size):
        out[i] = store({name}(load(x[i])))
"""


@cache
def compiled(storage, fused=True):
    """The kernels of a module as the CPU engine would make it, or as it would come out where nothing can be fused."""
    text = vector_math.text(storage) + "".join(LOOPS.format(name=name) for name in (*FUNCTIONS, "absolute", "sign"))
    if not fused:
        call = 'builder.call(builder.module.declare_intrinsic("llvm.fmuladd", (kind,), function), arguments)'
        assert text.count(call) == 1
        text = text.replace(call, "builder.fadd(builder.fmul(*arguments[:2]), arguments[2])")
    names = {}
    exec(compile(text, f"<{storage}>", "exec"), names)
    return names


def run(storage, name, x, fused=True):
    out = np.empty_like(x)
    compiled(storage, fused)[f"real_{name}"](x, out)
    return out


def arithmetic(storage):
    return np.dtype(vector_math.bind(storage).real)


def defined(name, x):
    """Of the finite numbers, those in the domain, and not so large that mpmath has no room."""
    low, high = {"log": (0, np.inf), "log1p": (-1, np.inf), "log1p_unit": (0, 1)}.get(name, (-760.0, 720.0))
    inside = (low < x) & (x < high)
    return x[np.isfinite(x) & (inside | (x == 1) if name == "log1p_unit" else inside)]


def samples(storage, name):
    """One of every binade that the stored type has, the neighbours of the switches, and the busy middle."""
    real = arithmetic(storage)
    info = np.finfo(np.float64 if storage == "float64" else np.float32)
    random = np.random.default_rng(7)
    exponents = np.arange(info.minexp - info.nmant, info.maxexp)
    binades = np.ldexp(random.uniform(1, 2, exponents.size), exponents)
    jumps = np.arange(1, 2200, 2) / 2 * np.log(2)  # where the reduced argument jumps, for exp and expm1
    roots = np.sqrt(2.0) * 2.0 ** np.arange(-30, 30)  # and for log
    ends = np.array([0.4142, 0.5, 0.5625, 1, 2, 3.95, 4.5, 6, 18, 38, 87.34, 88.72, 103.97, 104, 708.4, 709.7, 745.1])
    centres = np.concatenate([jumps[:8], jumps[8::12], roots, roots - 1, ends, info.tiny * 2.0 ** np.arange(-3, 3)])
    near = np.concatenate([centres * (1 + step * info.eps) for step in (-2, -1, 0, 1, 2)])
    middle = np.concatenate([random.uniform(0, size, 300) for size in (0.7, 1, 5, 100, 750)])
    x = np.concatenate([binades, near, middle, 1 - random.uniform(0, 1, 200) ** 9, 1 + random.uniform(0, 1, 200) ** 9])
    if storage != "float64":  # what a formula hands on was computed, but from such data
        x = x.astype(np.float32)
    with np.errstate(over="ignore"):
        return defined(name, np.unique(np.concatenate([x, -x])).astype(real))


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "not fused"])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("storage", ["float64", "float32", "bfloat16"])
def test_functions_are_as_near_the_truth_as_promised(storage, name, fused):
    x = samples(storage, name)
    info = np.finfo(x.dtype)
    with mp.workprec(120):
        for score, found in zip(x.tolist(), run(storage, name, x, fused).tolist(), strict=True):
            right = FUNCTIONS[name](mp.mpf(score))
            if storage == "float32":
                allowed, largest = max(RELATIVE * abs(right), mp.mpf("1e-300")), mp.mpf("1e300")
            else:
                exponent = max(mp.frexp(right)[1] - 1, int(info.minexp))
                allowed = ULPS.get(storage, {}).get(name, 1) * mp.ldexp(1, exponent - info.nmant)
                largest = mp.mpf(float(info.max))
            near = right > largest - allowed if found == np.inf else abs(right - found) <= allowed
            assert near, f"{name}({score!r}) = {found!r}, not {right}"


@pytest.mark.parametrize("top", [0.0, 60.0, 200.0, -250.0, 1000.0, 6e4, -3e7])
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "not fused"])
@pytest.mark.parametrize("storage", ["float64", "float32"])
def test_exponentials_of_a_row_keep_their_digits_however_large_the_scores(storage, fused, top):
    words, rows = vector_math.words(storage, vector_math.KINDS[storage]), vector_math.rows(storage)
    call = 'builder.call(builder.module.declare_intrinsic("llvm.fmuladd", (kind,), function), arguments)'
    other = call if fused else "builder.fadd(builder.fmul(*arguments[:2]), arguments[2])"
    loop = '@njit(error_model="numpy")\ndef loop(x, top, out):\n    for i in range(x.size):\n'
    loop += "        out[i] = exp_below(x[i], top)"
    names = {}
    exec("\n\n\n".join((vector_math.INSTRUCTIONS.replace(call, other), *words, *rows, loop)), names)
    x = (top - np.random.default_rng(5).uniform(0, 50, 300)).astype(storage)
    x[0] = top
    out = np.empty_like(x)
    names["loop"](x, x[0], out)
    with mp.workprec(120):
        for score, found in zip(x.tolist(), out.tolist(), strict=True):
            right = mp.exp(mp.mpf(score) - mp.mpf(float(x[0])))
            assert abs(mp.mpf(found) / mp.mpf(float(out[0])) / right - 1) <= 3 * np.finfo(storage).eps, score


LIMITS = {  # x: the value there
    "exp": "inf: inf, -inf: 0, 0: 1, -0.0: 1, 1e30: inf, -1e30: 0",
    "expm1": "inf: inf, -inf: -1, 0: 0, -0.0: -0.0, 1e30: inf, -1e30: -1",
    "log": "inf: inf, -inf: nan, 0: -inf, -0.0: -inf, 1: 0, -1: nan, -1e-30: nan",
    "log1p": "inf: inf, -inf: nan, 0: 0, -0.0: -0.0, -1: -inf, -1.5: nan, -1e30: nan",
    "log1p_unit": "0: 0",
    "tanh": "inf: 1, -inf: -1, 0: 0, -0.0: -0.0, 1e30: 1, -1e30: -1",
    "erf": "inf: 1, -inf: -1, 0: 0, -0.0: -0.0, 1e30: 1, -1e30: -1",
    "absolute": "inf: inf, -inf: inf, -0.0: 0, -2.5: 2.5",
    "sign": "inf: 1, -inf: -1, 0: 0, -0.0: 0, 1e-40: 1, -1e-40: -1",
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("storage", STORED)
def test_limits_and_signs_of_zero_and_nan(storage, name):
    points = [tuple(map(float, point.split(": "))) for point in (LIMITS[name] + ", nan: nan").split(", ")]
    x, expected = np.array(points, arithmetic(storage)).T.copy()
    found = run(storage, name, x)
    np.testing.assert_allclose(found, expected, rtol=2.0**-28 if storage == "float32" and name != "exp" else 0)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[zero]))


PATTERNS = np.arange(1 << 16, dtype=np.uint16)


@cache
def converted(storage):
    """Kernels that only read, only write, and do both."""
    text = (
        vector_math.text(storage)
        + """

@njit(error_model="numpy")
def read(x, out):
    for i in range(x.size):
        out[i] = load(x[i])


@njit(error_model="numpy")
def write(x, out):
    for i in range(x.size):
        out[i] = store(x[i])
"""
    )
    names = {}
    exec(compile(text, f"<{storage}>", "exec"), names)
    return names


def as_torch(x, storage):
    return torch.from_numpy(x.view(np.int16)).view(HALF[storage])


@pytest.mark.parametrize("storage", HALF)
def test_every_half_is_read(storage):
    expected = as_torch(PATTERNS, storage).float().numpy()
    found = np.empty_like(expected)
    converted(storage)["read"](PATTERNS, found)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(found[number].view(np.uint32), expected[number].view(np.uint32))
    assert np.isnan(found[~number]).all()


@pytest.mark.parametrize("storage", HALF)
def test_halves_are_written_to_nearest_even(storage):
    """Every half, the middle between every two, their neighbours in float32, and numbers of any size."""
    every = as_torch(PATTERNS, storage).float().numpy()
    every = np.sort(every[np.isfinite(every)])
    middle = ((every[:-1].astype(np.float64) + every[1:]) / 2).astype(np.float32)
    ends = np.array([np.inf, 65519.996, 65520, 65536, 3.3895314e38, 3.3961775e38, 3.4028235e38], np.float32)
    random = np.random.default_rng(3).integers(0, 1 << 32, 1 << 18, np.uint32).view(np.float32)
    x = np.concatenate([every, middle, ends, -ends, random])
    with np.errstate(over="ignore", invalid="ignore"):
        x = np.concatenate([x, np.nextafter(x, np.float32(np.inf)), np.nextafter(x, np.float32(-np.inf))])
    expected = torch.from_numpy(x).to(HALF[storage]).view(torch.int16).numpy().view(np.uint16)
    found = np.empty_like(expected)
    converted(storage)["write"](x, found)
    number = ~np.isnan(x)
    np.testing.assert_array_equal(found[number], expected[number])
    assert torch.isnan(as_torch(found[~number], storage)).all()


def stored(storage, size, name):
    """Numbers as they are kept, both signs where the function allows it, and some that are none."""
    x = np.random.default_rng(11).normal(size=size) * 3
    x = np.minimum(abs(x) / 8, 1) if name == "log1p_unit" else abs(x) if name.startswith("log") else x
    x[::17] = [np.nan, 0, np.inf, 1][len(name) % 4]
    if storage not in HALF:
        return x.astype(storage)
    return torch.from_numpy(x).to(HALF[storage]).view(torch.int16).numpy().view(np.uint16)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("storage", STORED)
def test_a_result_does_not_depend_on_its_place(storage, name):
    """The bodies of vectors and what is left over at the end give the same bits, at any alignment."""
    kernel = compiled(storage)[f"stored_{name}"]
    x = stored(storage, 80, name)
    whole = np.empty_like(x)
    for i in range(x.size):  # one at a time: no vector at all
        kernel(x[i : i + 1], whole[i : i + 1])
    for start in range(9):
        for size in range(1, 68):
            part = np.empty_like(x[start : start + size])
            kernel(x[start : start + size], part)
            assert part.tobytes() == whole[start : start + size].tobytes()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("storage", STORED)
def test_plain_python_computes_the_same(storage, name):
    x = stored(storage, 200, name)
    out = np.empty_like(x)
    compiled(storage, fused=False)[f"stored_{name}"](x, out)
    words = vector_math.bind(storage)
    with np.errstate(all="ignore"):
        expected = np.array([words.store(getattr(words, name)(words.load(element))) for element in x], x.dtype)
    if storage in HALF:
        assert out.tobytes() == expected.tobytes()
    else:
        np.testing.assert_array_equal(out, expected)
        assert (np.signbit(out) == np.signbit(expected))[~np.isnan(out)].all()


@pytest.mark.parametrize("storage", STORED)
def test_maximum_and_minimum_hand_on_nan(storage):
    words = vector_math.bind(storage)
    numbers = [words.real(x) for x in (-np.inf, -1.5, 0.0, 2.0, np.inf, np.nan)]
    for a in numbers:
        for b in numbers:
            np.testing.assert_array_equal(words.maximum(a, b), np.maximum(a, b))
            np.testing.assert_array_equal(words.minimum(a, b), np.minimum(a, b))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86-64 machine code")
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("storage", STORED)
def test_loops_become_vectors(storage, name):
    kernel = compiled(storage)[f"stored_{name}"]
    x = stored(storage, 16, name)
    kernel(x, np.empty_like(x))
    (code,) = kernel.inspect_asm().values()
    suffix = "pd" if arithmetic(storage) == np.float64 else "ps"
    assert re.search(rf"\bv?(mul|fmadd\d+|fnmadd\d+){suffix}\b", code), "no packed arithmetic"
    calls = set(re.findall(r"\bcallq?\s+([\w$@]+)", code))  # by name: the functions of the C library would be
    assert not calls, calls
