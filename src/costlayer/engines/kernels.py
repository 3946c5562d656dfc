"""The loops of every engine, in the scalar language too: plain Python runs them, and compilers compile them.

Each works on the part `start` to `stop` of flat, C-ordered arrays, so that any number of threads may share the work,
and writes into the output arrays that are not None. An element or row of weight 0 is skipped before any arithmetic:
what stands in it can do no harm. Targets must lie in [low, high], with `ends_only` at one of the two; the loops return
the sum of the weighted values and the first index whose target does not (−1 if all do).
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


def pointwise(z, y, weight, scale, low, high, ends_only, value, delta, curvature, start, stop, parameters):
    """Elementwise pairs. `scale` multiplies δ and the curvature: 1/n for a mean."""
    total = double(0.0)
    # Slices counted from 0: an index that may be negative keeps compilers from vectorising.
    zs, ys = z[start:stop], y[start:stop]
    for i in range(stop - start):
        w = scale
        if weight is not None:
            w = weight[start + i] * scale
            if w == 0.0:
                if value is not None:
                    value[start + i] = 0.0
                if delta is not None:
                    delta[start + i] = 0.0
                if curvature is not None:
                    curvature[start + i] = 0.0
                continue
        t = ys[i]
        if not (low <= t <= high) or (ends_only and low < t < high):
            return total, start + i
        ell, slope, curve = terms(zs[i], t, *parameters)
        if weight is not None:
            ell = ell * weight[start + i]
        total += double(ell)
        if value is not None:
            value[start + i] = ell
        if delta is not None:
            delta[start + i] = slope * w
        if curvature is not None:
            curvature[start + i] = curve * w
    return total, -1


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
