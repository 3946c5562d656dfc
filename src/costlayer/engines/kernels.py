"""The loops of every engine, in the scalar language too: plain Python runs them, and compilers compile them.

Each works on the part `start` to `stop` of flat, C-ordered arrays, so that any number of threads may share the work,
and writes into the output arrays that are not None. An element or row of weight 0 is skipped before any arithmetic:
what stands in it can do no harm. Targets must lie in [low, high], with `ends_only` at one of the two; the loops return
the sum of the weighted values and the first index whose target does not (−1 if all do).

`pointwise`, `margin_wide` and `margin_narrow` are what training runs, and compilers make vectors of their inner loops:
those count from 0 over slices, have no way out, and sum in functions of their own (`SUMS`), whose additions alone may
be reordered. `load` and `store` stand between what arrays hold and what is computed with, `score` is the type that the
exponentials of a row have, and `room` and `sums_room` are empty tables of it and of double.
"""

from typing import Any

from costlayer.words import double, exp, log, log1p, where

# What a pair's program defines and an engine chooses, bound to these names when a kernel is lowered.
activation: Any
terms: Any
margin: Any
row_terms: Any
real: Any
activation = terms = margin = row_terms = real = None
exp_below: Any
load: Any
store: Any
score: Any
room: Any
sums_room: Any
INFINITY: Any
exp_below = load = store = score = room = sums_room = INFINITY = None

SPAN = 4096  # elements that stay in the nearest cache between a look at their targets and their terms
LANES = 64  # rows that are worked on side by side, so that short rows fill vectors too
PART = 256  # exponentials that are added up in their own type before they go into the sum of a row


def pointwise(z, y, weight, scale, low, high, ends_only, value, delta, curvature, start, stop, parameters):
    """Elementwise pairs. `scale` multiplies δ and the curvature: 1/n for a mean."""
    total = double(0.0)
    values = room(1, SPAN)[0]
    for a in range(start, stop, SPAN):
        zs, ys = z[a:stop][:SPAN], y[a:stop][:SPAN]
        size = zs.shape[0]
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
                        absent = weight[a + i] == 0.0
                    if not absent:
                        return total, a + i
        ells = values[:size]
        if value is not None:
            ells = value[a : a + size]
        if weight is not None:
            given = weight[a : a + size]
        if delta is not None:
            deltas = delta[a : a + size]
        if curvature is not None:
            curves = curvature[a : a + size]
        for i in range(size):
            ell, slope, curve = terms(load(zs[i]), load(ys[i]), *parameters)
            w = scale
            if weight is not None:
                w = given[i] * scale
                absent = w == 0.0
                ell = where(absent, 0.0, ell * given[i])
                slope = where(absent, 0.0, slope)
                curve = where(absent, 0.0, curve)
            ells[i] = ell
            if delta is not None:
                deltas[i] = store(slope * w)
            if curvature is not None:
                curves[i] = curve * w
        total += sum_of(ells)
    return total, -1


def margin_wide(z, label, weight, scale, value, delta, start, stop, parameters):
    """`margin_rows` for long rows, one after the other."""
    total = double(0.0)
    classes = z.shape[1]
    row = room(1, classes)[0]
    for i in range(start, stop):
        zi, t, w = z[i], label[i], scale
        if weight is not None:
            w = weight[i] * scale
            if w == 0.0:
                clear(i, value, delta, None, classes)
                continue
        if t < 0 or t >= classes:
            return total, i
        before, after = zi[:t], zi[t + 1 :]
        top = largest(after, largest(before, score(-INFINITY)))
        rest = exp_sum(before, top, row[:t]) + exp_sum(after, top, row[t + 1 :])
        gap = difference(double(top), double(score(load(zi[t]))))
        ell, slope, _ = margin(real(gap + log(real(rest / double(exp_below(top, top))))), real(0.0), *parameters)
        if weight is not None:
            ell = ell * weight[i]
        total += double(ell)
        if value is not None:
            value[i] = ell
        if delta is not None:
            factor = double(slope) * double(w) / rest
            deltas = delta[i]
            if factor > double(1e-30):
                few = score(factor)
                for j in range(classes):
                    deltas[j] = store(score(row[j] * few))
            else:  # too small for a number of that type to have all its digits
                for j in range(classes):
                    deltas[j] = store(score(row[j] * factor))
            deltas[t] = store(score(-slope * w))
    return total, -1


def margin_narrow(z, label, weight, scale, value, delta, start, stop, parameters):
    """`margin_rows` for short rows, many side by side."""
    total = double(0.0)
    classes = z.shape[1]
    scores, sums = room(classes + 2, LANES), sums_room(4, LANES)
    for a in range(start, stop, LANES):
        zs, labels = z[a:stop][:LANES], label[a:stop][:LANES]
        size = zs.shape[0]
        truth, top = scores[classes][:size], scores[classes + 1][:size]
        rest, own, factor, ells = sums[0][:size], sums[1][:size], sums[2][:size], sums[3][:size]
        for j in range(classes):
            column, lane = zs[:, j], scores[j][:size]
            for i in range(size):
                lane[i] = score(load(column[i]))
        for i in range(size):
            t = labels[i]
            if weight is not None:  # noqa: SIM102 — the compiler drops a whole `if` where there is no weight
                if weight[a + i] * scale == 0.0:
                    for j in range(classes):
                        scores[j, i] = 0.0
                    t = 0
            if t < 0 or t >= classes:
                return total, a + i
            truth[i] = scores[t, i]
            scores[t, i] = -INFINITY
            top[i] = -INFINITY
            rest[i] = 0.0
        for j in range(classes):
            larger(scores[j][:size], top)
        for j in range(classes):
            lane = scores[j][:size]
            for i in range(size):
                lane[i] = exp_below(lane[i], top[i])
        for i in range(size):
            t = labels[i]
            if 0 <= t < classes:
                scores[t, i] = 0.0
        for j in range(classes):
            lane = scores[j][:size]
            for i in range(size):
                rest[i] += double(lane[i])
        for i in range(size):
            gap = difference(double(top[i]), double(truth[i]))
            d = real(gap + log(real(rest[i] / double(exp_below(top[i], top[i])))))
            ell, slope, _ = margin(d, real(0.0), *parameters)
            w = scale
            if weight is not None:
                w = weight[a + i] * scale
                absent = w == 0.0
                ell = where(absent, 0.0, ell * weight[a + i])
                slope = where(absent, 0.0, slope)
            ells[i] = ell
            own[i] = -slope * w
            factor[i] = double(slope) * double(w) / rest[i]
        total += sum_of(ells)
        if value is not None:
            for i in range(size):
                value[a + i] = ells[i]
        if delta is not None:
            deltas = delta[a : a + size]
            for j in range(classes):
                lane, column = scores[j][:size], deltas[:, j]
                for i in range(size):
                    column[i] = store(score(double(lane[i]) * factor[i]))
            for i in range(size):
                t = labels[i]
                if 0 <= t < classes:
                    deltas[i, t] = store(score(own[i]))
    return total, -1


def sum_of(values):
    total = double(0.0)
    for i in range(values.shape[0]):
        total += double(values[i])
    return total


def largest(z, top):
    """The largest score, at least `top`."""
    for j in range(z.shape[0]):
        x = score(load(z[j]))
        top = x if x > top else top
    return top


def larger(z, top):
    for i in range(z.shape[0]):
        top[i] = z[i] if z[i] > top[i] else top[i]


def exp_sum(z, top, out):
    """The exponentials of a row, and their sum."""
    total = double(0.0)
    for a in range(0, z.shape[0], PART):
        total += double(exp_part(z[a:][:PART], top, out[a:][:PART]))
    return total


def exp_part(z, top, out):
    total = score(0.0)
    for j in range(z.shape[0]):
        e = exp_below(score(load(z[j])), top)
        out[j] = e
        total += e
    return total


SUMS = ("sum_of", "exp_part")  # functions whose additions may be reordered
EXTREMES = ("largest", "larger")  # and whose comparisons may take NaN for any number: the exponential of NaN tells


def margin_rows(z, label, weight, scale, value, delta, curvature, start, stop, parameters):
    """Row pairs that see the scores only through the margin d between the other scores and the true one."""
    total = double(0.0)
    classes = z.shape[1]
    for i in range(start, stop):
        zi, t, w = z[i], label[i], scale
        if weight is not None:
            w = weight[i] * scale
            if w == 0.0:
                clear(i, value, delta, curvature, classes)
                continue
        if t < 0 or t >= classes:
            return total, i
        second = likeliest(zi, t)
        top = zi[second]
        rest = others(zi, t, t, top)
        ell, slope, curve = margin(difference(top, zi[t]) + log(rest), real(0.0), *parameters)
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
            w = weight[i] * scale
            if w == 0.0:
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


def activate(z, v, gain, start, stop, parameters):
    """Predictions of a pointwise activation, and its gain where asked for."""
    for i in range(start, stop):
        prediction, slope, _ = activation(z[i], *parameters)
        v[i] = prediction
        if gain is not None:
            gain[i] = slope
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


def difference(a, b):
    """a − b, with equals apart by nothing, infinities too."""
    return where(a == b, 0.0, a - b)


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
