"""What `explain` shows of each pair: the figures, and pages and pictures that hold themselves together."""

import json
import math
import re
import struct
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import costlayer as cl
from costlayer import explain
from costlayer.errors import InvalidType, InvalidValue, MissingExtra
from costlayer.explain.curves import TABLE, contrast, curve, targets, wrong
from costlayer.explain.reading import panels, title
from covering import every_pair

PAIRS = {pair.name: pair for pair in cl.pairs()}


def rows(text, target):
    """The table of one target as numbers: z -> the figures."""
    block = text.split(f"  {target}\n")[1].split("\n\n")[0].splitlines()[1:]
    numbers = [[float(x) for x in line.replace("−", "-").split()] for line in block]
    return {line[0]: line[1:] for line in numbers}


def test_sigmoid_mse_at_a_wrong_score():
    v, error, gain, value, delta, _ = rows(explain.text("sigmoid+mse"), "target y = 0")[5]
    assert (v, error, gain) == (0.9933, 0.9933, 0.006648)
    assert value == pytest.approx(0.9933**2, rel=1e-3)
    assert delta == pytest.approx(2 * 0.9933 * 0.006648, rel=1e-3)


def test_sigmoid_cross_entropy_sends_back_the_error_itself():
    for z, (_, error, gain, value, delta, _) in rows(explain.text("sigmoid+cross_entropy"), "target y = 0").items():
        assert delta == error
        assert value == pytest.approx(math.log1p(math.exp(z)), rel=1e-3)
        assert gain == pytest.approx(1 / (2 + math.exp(z) + math.exp(-z)), rel=1e-3)


def test_softmax_names_the_true_class():
    text = explain.text("softmax+cross_entropy")
    assert rows(text, "the second class is the true one")[5][4] == 0.9933
    assert rows(text, "the first class is the true one")[-5][4] == -0.9933


@every_pair
def test_text_of_every_pair(pair):
    text = explain.text(pair)
    assert text == explain.text(pair.name)
    assert pair.describe() in text
    for truth in targets(pair):
        table = rows(text, curve(pair, truth, TABLE).truth_in_words)
        assert tuple(table) == TABLE
        for figures in table.values():
            assert len(figures) == 6 + pair.two
            assert np.isfinite(figures).all()
    told = explain.sentence(pair)
    assert text.endswith(told)
    assert ("starves the network" in told) == pair.starves


@every_pair
def test_curves_are_those_of_a_pair(pair):
    """Gain and δ against the differences of prediction and value, in the middle of the axis."""
    z, h = np.array([-3.3, -1.13, 0.7, 2.9]), 1e-5
    for truth in targets(pair):
        here, left, right = (curve(pair, truth, z + step) for step in (0.0, -h, h))
        assert here.gain == pytest.approx((right.v - left.v) / (2 * h), rel=1e-6, abs=1e-8)
        if pair.two:
            assert here.second_delta == pytest.approx(second_slope(pair, truth, z, h), rel=1e-6, abs=1e-8)
        assert here.delta == pytest.approx((right.value - left.value) / (2 * h), rel=1e-6, abs=1e-8)
        assert here.curvature == pytest.approx((right.delta - left.delta) / (2 * h), rel=1e-6, abs=1e-8)


def second_slope(pair, truth, z, h):
    """How fast the value at (z, 0) grows with the second score."""
    y = np.full(z.shape, truth)
    left, right = (cl.value(pair, np.stack([z, z * 0 + step], axis=1), y, reduction="none") for step in (-h, h))
    return (right - left) / (2 * h)


@every_pair
def test_a_pair_stands_beside_one_of_the_other_kind(pair):
    c = contrast(pair)
    assert c.pair.pair == pair
    assert c.starving.pair.starves
    assert not c.sound.pair.starves
    # at the typical wrong score next to nothing of the cost's slope reaches the score
    at = c.here if pair.starves else c.there
    assert abs(at.gain[0]) < 0.01
    assert abs(at.error[0]) > 0.9
    # but for a cost that lets go of what is far off
    lets_go = pair.activation.name == "identity" and not pair.steady
    assert lets_go or abs((c.there if pair.starves else c.here).delta[0]) > 3 * abs(at.delta[0])
    for panel in panels(c):
        for reading in panel.readings:
            assert panel.low <= reading.at <= panel.high


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sigmoid+mse", "badly wrong, hardly corrected"),
        ("sigmoid+cross_entropy", "sends back the error itself"),
        ("identity+mse", "sends back twice the error"),
        ("probit+cross_entropy", "pulls on, however wrong"),
        ("sigmoid+focal", "does not fall silent"),
        ("cauchit+cross_entropy", "lets go of what is far off"),
        ("sigmoid+asymmetric", "lets go of what is far off"),
        ("identity+tukey", "lets go of what is far off"),
    ],
)
def test_the_headline_is_what_the_curves_show(name, told):
    assert title(contrast(PAIRS[name])).endswith(told)


def test_the_pair_to_use_instead():
    assert contrast(PAIRS["sigmoid+mse"]).other.pair.name == "sigmoid+cross_entropy"
    assert contrast(PAIRS["softmax+mse"]).other.pair.name == "softmax+cross_entropy"
    assert contrast(PAIRS["sigmoid+cross_entropy"]).other.pair.name == "sigmoid+mse"
    assert contrast(PAIRS["softmax+cross_entropy"]).other.pair.name == "softmax+mse"
    assert contrast(PAIRS["identity+hinge"]).other.pair.name == "tanh+hinge"


def test_wrong_scores_and_typical_targets():
    assert targets(PAIRS["sigmoid+mse"]) == (0.0, 1.0)
    assert targets(PAIRS["tanh+mse"]) == targets(PAIRS["identity+hinge"]) == (-1.0, 1.0)
    assert targets(PAIRS["identity+mse"]) == (-1.0, 0.0, 1.0)
    assert targets(PAIRS["exp+poisson"]) == (0.0, 1.0, 5.0)
    assert targets(PAIRS["exp+gamma"]) == (0.5, 1.0, 5.0)
    assert wrong(PAIRS["tanh+mse"], 5.0) == -1.0
    assert wrong(PAIRS["identity+mse"], 5.0) == 0.0
    assert wrong(PAIRS["identity+mse"], -5.0) == 1.0


class Page(HTMLParser):
    """The page's tags, and what they load."""

    VOID = ("meta", "br", "wbr", "line", "hr", "img", "input")

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.loads, self.tags, self.scripts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag == "script" and ("type", "application/json") in attrs:
            self.scripts.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.scripts and self.open[-1:] == ["script"] and not self.scripts[-1]:
            self.scripts[-1] = data


@pytest.mark.parametrize(
    "name", ["sigmoid+mse", "softmax+cross_entropy", "exp+gamma", "identity+huber", "tanh+hinge", "exp_exp+beta"]
)
def test_page_is_whole_and_loads_nothing(name):
    text = explain.html(name)
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert [address for address in page.loads if not address.startswith("#")] == []
    assert "default-src 'none'" in text
    assert page.tags.count("math") == 4 + PAIRS[name].two  # value and each δ of both pairs
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text

    [views] = map(json.loads, page.scripts)
    [view] = views
    figure = view["figure"]
    c = contrast(PAIRS[name])
    drawn = [t for t in figure["data"] if t["mode"] == "lines" and len(t["x"]) == len(c.pair.z)]
    sent = [t["y"] for t in drawn if t["yaxis"] == "y3"]
    assert sorted(sent) == sorted([abs(c.pair.delta).tolist(), abs(c.other.delta).tolist()])
    # every colour is one of the style sheet's
    for variable in set(re.findall(r"var\((--[\w-]+)\)", json.dumps(figure))):
        assert text.count(f"{variable}:") >= 2, f"{variable} lacks a light or a dark colour"


def test_page_says_the_figures():
    text = re.sub(r"<[^>]+>", " ", explain.html("sigmoid+mse").split("<script>")[0])
    words = " ".join(text.split())
    for said in ("The error at z = 5 0.9933 both pairs", "The gain at z = 5 0.00665 both pairs"):
        assert said in words
    assert "0.0132 sigmoid+mse 0.9933 sigmoid+cross_entropy" in words


@pytest.mark.parametrize("name", ["sigmoid+mse", "softmax+binary_cross_entropy", "softplus+gamma", "relu+mae"])
def test_picture_is_a_png_of_the_right_size(name):
    image = explain.png(name)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", image[16:24]) == (1600, 1200)
    assert image == explain.png(name)


@every_pair
def test_nothing_is_written_beyond_the_picture(pair):
    from matplotlib.backends.backend_agg import RendererAgg

    from costlayer.explain.picture import figure_of

    drawn = figure_of(contrast(pair))
    drawn.draw_without_rendering()
    renderer = RendererAgg(1600, 1200, 100)
    texts = drawn.texts + [t for axes in drawn.axes for t in [*axes.texts, axes.title]]
    for text in texts:
        box = text.get_window_extent(renderer)
        assert 0 <= box.x0
        assert box.x1 <= 1600, f"{text.get_text()!r} ends at {box.x1:.0f}"


def test_picture_leaves_matplotlib_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    explain.png("sigmoid+mse")
    assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@pytest.mark.parametrize("make", [explain.text, explain.html, explain.png, explain.sentence])
def test_what_is_no_pair_is_refused_by_name(make):
    with pytest.raises(InvalidValue, match="sigmoid"):
        make("sigmoyd+mse")
    with pytest.raises(InvalidValue, match=r"softmax\+cross_entropy"):
        make("identity+cross_entropy")
    with pytest.raises(InvalidType):
        make(3)


@pytest.mark.parametrize(
    ("make", "module", "package"),
    [
        (explain.html, "costlayer.explain.page", "plotly"),
        (explain.html, "costlayer.explain.page", "latex2mathml"),
        (explain.png, "costlayer.explain.picture", "matplotlib"),
    ],
)
def test_missing_extra_is_named(monkeypatch, make, module, package):
    for name in list(sys.modules):
        if name == package or name.startswith((f"{package}.", "costlayer.explain.p", "costlayer.report")):
            monkeypatch.delitem(sys.modules, name)
    # a finder that does not find: what a machine without the package says, parent package or not
    monkeypatch.setattr(sys, "meta_path", [_Without(package), *sys.meta_path])
    with pytest.raises(MissingExtra, match=r"costlayer\[study\]") as caught:
        make("sigmoid+mse")
    assert caught.value.package == package
    assert explain.text("sigmoid+mse")


class _Without:
    def __init__(self, package):
        self.package = package

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return
