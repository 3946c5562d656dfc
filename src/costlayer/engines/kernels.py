"""The loops of every engine, in the scalar language too: plain Python runs them, and compilers compile them.

Each works on the part `start` to `stop` of flat, C-ordered arrays, so that any number of threads may share the work,
and writes into the output arrays that are not None. An element or row of weight 0 is skipped before any arithmetic:
what stands in it can do no harm. Targets must lie in [low, high], with `ends_only` at one of the two; the loops return
the sum of the weighted values and the first index whose target does not (−1 if all do).

`pointwise`, `margin_wide`, `margin_narrow` and `soft_rows` are what training runs, and compilers make vectors of their
inner loops: those count from 0 over slices and have no way out. `plus` and `larger` may be taken in any order there.
`load` and `store` stand between what arrays hold and what is computed with, and `score` is the type that the
exponentials of a row have; `reach` orders scores by their size, with NaN above all; `short` is whether `real` is not
`double`. `room` and `sums` are arrays of `score` and of `double` to work in, as large as `rooms` says.
"""

from functools import cache
from typing import Any

from costlayer.words import absolute, difference, double, exp, log, log1p, product, rounded_off, where

# What a pair's program defines and an engine chooses, bound to these names when a kernel is lowered.
activation: Any
terms: Any
margin: Any
row_terms: Any
row_cost: Any
row_prediction: Any
real: Any
first: Any
second: Any
first = second = None
activation = terms = margin = row_terms = row_cost = row_prediction = real = None
exp_below: Any
load: Any
store: Any
score: Any
reach: Any
plus: Any
larger: Any
INFINITY: Any
short: Any
short = exp_below = load = store = score = reach = plus = larger = INFINITY = None

SPAN = 4096  # elements that stay in the nearest cache between a look at their targets and their terms
LANES = 64  # short rows that are worked on at once
CALM = 50  # the scores of such rows are between −50 and 50, so that float32 has all digits of their exponentials
PART = 256  # exponentials that are added up in their own type, without an error: the high parts of them are whole
GRID = 512  # multiples of the last bit of GRID times the largest, and the low parts are small


def pointwise(z, y, weight, scale, low, high, ends_only, value, delta, curvature, start, stop, parameters, room):
    """Elementwise pairs. `scale` multiplies δ and the curvature: 1/n for a mean. A weight of SPAN elements, where there
    are more, is that of every span."""
    total = double(0.0)
    for a in range(start, stop, SPAN):
        zs, ys = z[a:stop][:SPAN], y[a:stop][:SPAN]
        size = zs.shape[0]
        if weight is not None:
            first = where(weight.shape[0] > SPAN, a, 0)
            given = weight[first : first + size]
        right = 0
        if ends_only:
            for i in range(size):
                t = load(ys[i])
                right += (t == low) | (t == high)
        else:
            for i in range(size):
                t = load(ys[i])
                right += (low <= t) & (t <= high)
        if right < size:
            for i in range(size):
                t = load(ys[i])
                if not (low <= t <= high) or (ends_only and low < t < high):
                    absent = False
                    if weight is not None:
                        absent = given[i] == 0.0
                    if not absent:
                        return total, a + i
        if short:
            ells = room[:size]
        if value is not None:
            ells = value[a : a + size]
        if delta is not None:
            deltas = delta[a : a + size]
        if curvature is not None:
            curves = curvature[a : a + size]
        for i in range(size):
            ell, slope, curve = terms(load(zs[i]), load(ys[i]), *parameters)
            w = scale
            if weight is not None:
                w = real(given[i]) * scale
                absent = given[i] == 0.0
                ell = where(absent, 0.0, ell * given[i])
                slope = where(absent, 0.0, slope)
                curve = where(absent, 0.0, curve)
            if short:
                ells[i] = ell
            else:
                total = plus(total, double(ell))
                if value is not None:
                    ells[i] = ell
            if delta is not None:
                deltas[i] = store(slope * w)
            if curvature is not None:
                curves[i] = curve * w
        if short:  # on its own: double beside it would halve the vectors of the loop above
            for i in range(size):
                total = plus(total, double(ells[i]))
    return total, -1


def two_scores(z, y, weight, scale, low, high, value, delta, curvature, start, stop, parameters):
    """Pairs of two scores per target, one beside the other in `z`, `delta` and `curvature`. A weight of SPAN examples,
    where there are more, is that of every span."""
    total = double(0.0)
    for a in range(start, stop, SPAN):
        ys, ells = y[a:stop][:SPAN], value[a:stop][:SPAN]
        size = ys.shape[0]
        pairs, deltas = z[2 * a : 2 * stop][: 2 * SPAN], delta[2 * a : 2 * stop][: 2 * SPAN]
        first = where(weight.shape[0] > SPAN, a, 0)
        given = weight[first : first + size]
        if curvature is not None:
            curves = curvature[2 * a : 2 * stop][: 2 * SPAN]
        right = 0
        for i in range(size):
            t = load(ys[i])
            right += (low <= t) & (t <= high)
        if right < size:
            for i in range(size):
                if not (low <= load(ys[i]) <= high) and given[i] != 0.0:
                    return total, a + i
        for i in range(size):
            ell, slope, second_slope, curve, _, second_curve = terms(
                load(pairs[2 * i]), load(pairs[2 * i + 1]), load(ys[i]), *parameters
            )
            absent, w = given[i] == 0.0, real(given[i]) * scale
            ell = where(absent, 0.0, ell * given[i])
            total = plus(total, double(ell))
            ells[i] = ell
            deltas[2 * i] = store(where(absent, 0.0, slope) * w)
            deltas[2 * i + 1] = store(where(absent, 0.0, second_slope) * w)
            if curvature is not None:
                curves[2 * i] = where(absent, 0.0, curve) * w
                curves[2 * i + 1] = where(absent, 0.0, second_curve) * w
    return total, -1


@cache
def rooms(loop, classes):
    """How many numbers `room` and `sums` have for a loop, if it takes them."""
    sizes = {
        "pointwise": (SPAN,),
        "margin_wide": (classes,),
        "margin_narrow": (LANES * classes, 5 * LANES),
        "soft_rows": (0, classes),
        "written_rows": (0, 5 * classes),
        "written_predictions": (0, 4 * classes),
    }
    return sizes.get(loop, ())


def margin_wide(z, label, weight, scale, classes, value, delta, start, stop, parameters, room):
    """`margin_rows` for long rows, one after the other, of flat arrays."""
    total = double(0.0)
    for i in range(start, stop):
        t, w, at = label[i], scale, i * classes
        if weight is not None:
            w = real(weight[i]) * scale
            if weight[i] == 0.0:
                if value is not None:
                    value[i] = 0.0
                if delta is not None:
                    for j in range(classes):
                        delta[at + j] = store(score(0.0))
                continue
        if t < 0 or t >= classes:
            return total, i
        top = score(-INFINITY)
        for after in range(2):  # the classes before the true one, and those after it
            scores = z[at + after * (t + 1) : at + t + after * (classes - t)]
            for j in range(scores.shape[0]):
                top = larger(score(load(scores[j])), top)
        rest, lost, unit = double(0.0), double(0.0), exp_below(top, top)
        grid = unit * score(GRID)
        for after in range(2):
            first, last = after * (t + 1), t + after * (classes - t)
            for b in range(first, last, PART):
                c = where(last - b < PART, last, b + PART)
                scores, row = z[at + b : at + c], room[b:c]
                coarse, fine = score(0.0), score(0.0)
                for j in range(c - b):
                    x = exp_below(score(load(scores[j])), top)
                    row[j] = x
                    on_grid = (x + grid) - grid
                    coarse = plus(coarse, on_grid)
                    fine = plus(fine, x - on_grid)
                part = double(coarse) + double(fine)
                whole = rest + part
                lost += rounded_off(rest, -part, whole)
                rest = whole
        rest += lost
        d, e = odds(real(top), real(score(load(z[at + t]))), real(rest / double(unit)))
        ell, slope, _ = margin(d, e, *parameters)
        if weight is not None:
            ell = ell * weight[i]
        total += double(ell)
        if value is not None:
            value[i] = ell
        if delta is not None:
            deltas, row = delta[at : at + classes], room[:classes]
            few, more = parts(double(slope) / rest, double(w))
            for j in range(classes):
                deltas[j] = store(row[j] * few * more)
            deltas[t] = store(score(-slope * w))
    return total, -1


def margin_narrow(z, label, weight, scale, classes, value, delta, start, stop, parameters, room, sums):
    """`margin_rows` for short rows of flat arrays, many at once, unless a score is far from 0.

    Which way a row goes, and so its last bit, depends on its own scores alone: where any of many rows has such a score,
    they are taken one by one.
    """
    total = double(0.0)
    a, until = start, start  # up to `until` rows are taken one by one
    while a < stop:
        size = where(stop - a < LANES, stop - a, LANES)
        size = where(a < until, 1, size)
        scores, rows = z[a * classes : (a + size) * classes], room[: size * classes]
        most = reach(score(0.0))
        for j in range(scores.shape[0]):
            far = reach(score(load(scores[j])))
            most = where(far > most, far, most)
        apart, top = most > reach(score(CALM)), score(CALM)
        if apart:
            if size > 1:
                until = a + size
                continue
            top = score(-INFINITY)
            for j in range(classes):
                top = larger(where(j == label[a], score(-INFINITY), score(load(scores[j]))), top)
        for j in range(scores.shape[0]):
            rows[j] = exp_below(score(load(scores[j])), top)
        own, rest, ells = sums[:size], sums[LANES:][:size], sums[2 * LANES :][:size]
        slopes, factors = sums[3 * LANES :][:size], sums[4 * LANES :][:size]
        d_apart, e_apart = real(0.0), real(0.0)
        for i in range(size):
            t, row = label[a + i], rows[i * classes :][:classes]
            if weight is not None:  # noqa: SIM102 — the compiler drops a whole `if` where there is no weight
                if weight[a + i] == 0.0:
                    t = 0
                    for j in range(classes):
                        row[j] = 1.0
            if t < 0 or t >= classes:
                return total, a + i
            own[i] = row[t]
            others = double(0.0)
            for j in range(classes):  # without a store to row[t], which the loads after it would have to wait for
                others = plus(others, where(j == t, double(0.0), double(row[j])))
            rest[i] = others
            if apart:
                d_apart, e_apart = odds(
                    real(top), real(score(load(scores[t]))), real(others / double(exp_below(top, top)))
                )
        for i in range(size):
            wrong = rest[i] > own[i]
            e = real(where(wrong, own[i], rest[i]) / where(wrong, rest[i], own[i]))
            d = log(e)
            d, e = where(apart, d_apart, where(wrong, -d, d)), where(apart, e_apart, e)
            ell, slope, _ = margin(d, e, *parameters)
            w = scale
            if weight is not None:
                w = real(weight[a + i]) * scale
                absent = weight[a + i] == 0.0
                ell = where(absent, 0.0, ell * weight[a + i])
                slope = where(absent, 0.0, slope)
            ells[i] = ell
            slopes[i] = slope * w
            factors[i] = slope / rest[i]
        for i in range(size):
            total = plus(total, ells[i])
        if value is not None:
            for i in range(size):
                value[a + i] = ells[i]
        if delta is not None:
            for i in range(size):
                row, deltas, t = rows[i * classes :][:classes], delta[(a + i) * classes :][:classes], label[a + i]
                w = scale
                if weight is not None:
                    w = real(weight[a + i]) * scale
                few, more = parts(factors[i], double(w))
                for j in range(classes):
                    deltas[j] = store(row[j] * few * more)
                if 0 <= t < classes:
                    deltas[t] = store(score(0.0 - slopes[i]))
        a += size
    return total, -1


def parts(factor, w):
    """factor · w as two that the type of a score can hold with all digits: most often the second is 1."""
    whole = factor * w
    usual = (whole > double(1e-30)) & (whole < double(1e30))
    up = where(factor < double(1e-30), double(1.8446744073709552e19), double(1.0))
    return score(where(usual, whole, factor * up)), score(where(usual, double(1.0), w / up))


def odds(top, truth, rest):
    """d = top + ln(rest) − truth, and exp(−|d|), which has what rounding takes from d."""
    gap = difference(top, truth)
    beside = log(rest)
    d = gap + beside
    e = exp(-absolute(d))
    lost = rounded_off(top, truth, gap) + rounded_off(gap, -beside, d)
    return d, where(absolute(lost) < 1.0, e - e * where(d > 0.0, lost, -lost), e)


def margin_rows(z, label, weight, scale, value, delta, curvature, start, stop, parameters):
    """Row pairs that see the scores only through the margin d between the other scores and the true one."""
    total = double(0.0)
    classes = z.shape[1]
    for i in range(start, stop):
        zi, t, w = z[i], label[i], scale
        if weight is not None:
            w = real(weight[i]) * scale
            if weight[i] == 0.0:
                clear(i, value, delta, curvature, classes)
                continue
        if t < 0 or t >= classes:
            return total, i
        second = likeliest(zi, t)
        top = zi[second]
        rest = others(zi, t, t, top)
        d, e = odds(top, zi[t], rest)
        ell, slope, curve = margin(d, e, *parameters)
        if weight is not None:
            ell = ell * weight[i]
        total += double(ell)
        if value is not None:
            value[i] = ell
        if delta is not None:
            for j in range(classes):
                delta[i, j] = exp(difference(zi[j], top)) / rest * slope * w
            delta[i, t] = -slope * w
        if curvature is not None:
            beside = others(zi, t, second, top) / rest  # 1 - share of the second, without a subtraction
            for j in range(classes):
                share = exp(difference(zi[j], top)) / rest
                curvature[i, j] = (curve * share + slope * where(j == second, beside, 1.0 - share)) * share * w
            curvature[i, t] = curve * w
    return total, -1


def softmax_rows(
    z, label, y, on, off, class_weight, weight, scale, low, high, value, delta, curvature, start, stop, parameters
):
    """Row pairs in general. The targets are `y`, or `on` at the class `label` and `off` elsewhere; either times
    `class_weight`.

    Everything is said by way of the likeliest class: 1 − p of it is the sum over the others, never a subtraction.
    """
    total = double(0.0)
    classes = z.shape[1]
    for i in range(start, stop):
        zi, w = z[i], scale
        if weight is not None:
            w = real(weight[i]) * scale
            if weight[i] == 0.0:
                clear(i, value, delta, curvature, classes)
                continue
        t = -1
        if label is not None:
            t = label[i]
            if t < 0 or t >= classes:
                return total, i
        if y is not None:  # not "else": Numba drops a branch by what its own condition says
            for j in range(classes):
                if not (low <= y[i, j] <= high):
                    return total, i
        best = likeliest(zi, -1)
        top = zi[likeliest(zi, best)]  # of the others
        crowd = others(zi, best, best, top)
        ahead = difference(zi[best], top)
        rest = exp(-ahead) * crowd
        log_total = log1p(rest)
        all_p = 1.0 / (1.0 + rest)
        cost_sum = double(0.0)
        slope_sum = double(0.0)  # over all but the likeliest
        bend_sum = double(0.0)
        best_slope = real(0.0)
        best_bend = real(0.0)
        for j in range(classes):
            goal = target(label, y, on, off, class_weight, i, j, t)
            if j == best:
                cost, slope, bend = row_terms(
                    all_p, rest * all_p, -log_total, log(crowd) - ahead - log_total, goal, *parameters
                )
                best_slope, best_bend = slope, bend
            else:
                log_p = difference(zi[j], zi[best]) - log_total
                p = exp(-ahead) * exp(difference(zi[j], top)) * all_p
                q = 1.0 - p
                cost, slope, bend = row_terms(p, q, log_p, log1p(-p), goal, *parameters)
                slope_sum += double(slope / q)
                bend_sum += double(bend / (q * q))
            cost_sum += double(cost)
        ell, slopes, bends = real(cost_sum), real(slope_sum), real(bend_sum)
        if weight is not None:
            ell = ell * weight[i]
        total += double(ell)
        if value is not None:
            value[i] = ell
        if delta is not None or curvature is not None:
            for j in range(classes):
                goal = target(label, y, on, off, class_weight, i, j, t)
                if j == best:
                    p, q = all_p, rest * all_p
                    if delta is not None:
                        delta[i, j] = (best_slope - p * slopes) * w
                    if curvature is not None:
                        curvature[i, j] = (best_bend + p * (p * bends - q * slopes - best_slope)) * w
                else:
                    share = exp(difference(zi[j], top)) / crowd  # p = share * (1 - p of the likeliest)
                    log_p = difference(zi[j], zi[best]) - log_total
                    p = exp(-ahead) * exp(difference(zi[j], top)) * all_p
                    q = 1.0 - p
                    _, slope, bend = row_terms(p, q, log_p, log1p(-p), goal, *parameters)
                    if delta is not None:
                        delta[i, j] = (slope - p * (slopes - slope / q) - share * best_slope) * w
                    if curvature is not None:
                        own = bend / (q * q) * (1.0 - 2.0 * p) + p * (p * bends - q * slopes)
                        curvature[i, j] = (own + share * (share * best_bend - q * best_slope)) * w
    return total, -1


def soft_rows(
    z, label, y, on, off, class_weight, weight, scale, low, high, value, delta, start, stop, parameters, room, sums
):
    """softmax+cross_entropy of targets as `softmax_rows` has them, in loops that have no way out.

    The cost of a row is linear in its targets: it takes their sum, and that of each times what its score lies below the
    top.
    """
    total = double(0.0)
    classes = z.shape[1]
    for i in range(start, stop):
        zi, row, t = z[i], sums[:classes], -1
        if weight[i] == 0.0:
            clear(i, value, delta, None, classes)
            continue
        if label is not None:
            t = label[i]
            if t < 0 or t >= classes:
                return total, i
        if y is not None:
            right = 0
            for j in range(classes):
                right += (low <= y[i, j]) & (y[i, j] <= high)
            if right < classes:
                return total, i
        most = zi[0]
        for j in range(classes):
            most = larger(zi[j], most)
        best = 0
        while best < classes - 1 and zi[best] != most:
            best += 1
        top, crowd, goals, cost = real(most), double(0.0), double(0.0), double(0.0)
        for j in range(classes):
            below = difference(real(zi[j]), top)
            goal = real(target(label, y, on, off, class_weight, i, j, t))
            x = exp(below)
            row[j] = x
            crowd = plus(crowd, where(j == best, double(0.0), double(x)))
            goals = plus(goals, double(goal))
            cost = plus(cost, double(product(goal, -below)))
        rest, whole = real(crowd), real(goals)
        ell = (real(cost) + whole * log1p(rest)) * weight[i]
        total += double(ell)
        if value is not None:
            value[i] = ell
        if delta is not None:
            deltas, share, w = delta[i], 1.0 / (1.0 + rest), real(weight[i]) * scale
            for j in range(classes):
                goal = real(target(label, y, on, off, class_weight, i, j, t))
                p = real(row[j]) * share
                deltas[j] = (p * (whole - goal) - (1.0 - p) * goal) * w
            goal = real(target(label, y, on, off, class_weight, i, best, t))
            deltas[best] = share * ((whole - goal) - rest * goal) * w
    return total, -1


def activate(z, v, gain, start, stop, parameters):
    """Predictions of a pointwise activation, and its gain where asked for."""
    for i in range(start, stop):
        prediction, slope, _ = activation(z[i], *parameters)
        v[i] = prediction
        if gain is not None:
            gain[i] = slope
    return real(0.0), -1


def activate_two(z, v, gain, start, stop, parameters):
    """Both predictions of pairs of two scores, and their gains."""
    for i in range(start, stop):
        v[2 * i], gain[2 * i], _ = first(z[2 * i])
        v[2 * i + 1], gain[2 * i + 1], _ = second(z[2 * i + 1])
    return real(0.0), -1


def softmax(z, v, start, stop, parameters):
    """Predictions of softmax."""
    classes = z.shape[1]
    for i in range(start, stop):
        zi = z[i]
        best = likeliest(zi, -1)
        top = zi[best]
        total = 1.0 + others(zi, best, best, top)
        for j in range(classes):
            v[i, j] = exp(difference(zi[j], top)) / total
    return real(0.0), -1


def written_rows(
    z,
    label,
    y,
    on,
    off,
    weight,
    scale,
    classes,
    low,
    high,
    value,
    delta,
    curvature,
    start,
    stop,
    parameters,
    room,
    sums,
):
    """Row pairs whose cost is written for a whole row at once, as `row_cost`, in double. The targets are the rows of
    `y` or, where it has none, `on` at the class `label` and `off` elsewhere; `curvature` has no rows if nobody asks.

    All arrays are always there: such a cost is compiled once for each stored type.
    """
    total = double(0.0)
    width = z.shape[1]
    zi, goals, slopes = sums[:width], sums[width:][:width], sums[2 * width :][:width]
    curves, work = sums[3 * width :][:width], sums[4 * width :][:width]
    for i in range(start, stop):
        ell, sure, t, known, lost = double(0.0), double(weight[i]), -1, 0, double(0.0)
        for j in range(width):
            zi[j], goals[j] = double(z[i, j]), double(off)
            slopes[j], curves[j] = double(0.0), double(0.0)
            known += zi[j] == zi[j]
            lost += zi[j]
        if sure != 0.0:
            if y.shape[0] > 0:
                right = 0
                for j in range(width):
                    goals[j] = double(y[i, j])
                    right += (low <= y[i, j]) & (y[i, j] <= high)
                if right < width:
                    return total, i
            else:
                t = label[i]
                if t < 0 or t >= classes:
                    return total, i
                if t < width:
                    goals[t] = double(on)
                if off != 0.0:
                    t = -1
            if known == width:
                ell = row_cost(zi, t, goals, slopes, curves, work, *parameters)
            else:  # no number among the scores: none comes out
                ell = lost
                for j in range(width):
                    slopes[j], curves[j] = lost, lost
        total += ell * sure
        value[i] = ell * sure
        factor = sure * double(scale)
        for j in range(width):
            delta[i, j] = slopes[j] * factor
        if curvature.shape[0] > 0:
            for j in range(width):
                curvature[i, j] = curves[j] * factor
    return total, -1


def written_predictions(z, v, gain, start, stop, parameters, room, sums):
    """Predictions of a row activation that is written for a whole row, and its gains: how each v changes with its own
    score."""
    width = z.shape[1]
    zi, vi = sums[:width], sums[width:][:width]
    gains, work = sums[2 * width :][:width], sums[3 * width :][:width]
    for i in range(start, stop):
        known, lost = 0, double(0.0)
        for j in range(width):
            zi[j] = double(z[i, j])
            known += zi[j] == zi[j]
            lost += zi[j]
        if known == width:
            row_prediction(zi, vi, gains, work)
        else:
            for j in range(width):
                vi[j], gains[j] = lost, lost
        for j in range(width):
            v[i, j], gain[i, j] = vi[j], gains[j]
    return double(0.0), -1


def likeliest(zi, but):
    """The first index of the largest score, `but` aside."""
    best = 1 if but == 0 else 0
    for j in range(zi.shape[0]):
        if j != but and zi[j] > zi[best]:
            best = j
    return best


def others(zi, but, nor, top):
    """The sum of exp(score − top) over all scores but one or two, added up in double: a row may be very long."""
    total = double(0.0)
    for j in range(zi.shape[0]):
        if j not in (but, nor):
            total += double(exp(difference(zi[j], top)))
    return real(total)


def target(label, y, on, off, class_weight, i, j, t):
    """The target of one element of a row."""
    goal = off
    if label is not None:
        goal = where(j == t, on, off)
    if y is not None:
        goal = y[i, j]
    if class_weight is not None:
        goal = goal * class_weight[j]
    return goal


def clear(i, value, delta, curvature, classes):
    """Nothing from a row that is left out."""
    if value is not None:
        value[i] = 0.0
    for j in range(classes):
        if delta is not None:
            delta[i, j] = 0.0
        if curvature is not None:
            curvature[i, j] = 0.0
