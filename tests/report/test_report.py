import json
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from costlayer.errors import InvalidValue, MissingExtra
from costlayer.report import render, write_report

VOID = {"meta", "line", "circle", "wbr", "br", "link", "img", "input"}
RUNS = {
    "digits": ("classes_run",),
    "eight pairs": ("eight",),
    "a hundred classes": ("classes_run", ("softmax+cross_entropy", "sigmoid+mse"), 1, 100, 6),
    "one pair, one seed": ("classes_run", ("sigmoid+mse",), 1, 10, 12),
    "values": ("values_run",),
    "plane": ("plane_run",),
}


class Page(HTMLParser):
    """The page as a reader gets it: its tags, its text, the figures; and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.figures, self.styles, self.scripts, words = [], [], [], [], [], []
        self.words = words
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"
        self.text = re.sub(r"\s+", " ", "".join(words))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        opened, _ = self.open.pop()
        assert opened == tag, f"<{opened}> closed by </{tag}>"

    def handle_data(self, data):
        tag, attrs = self.open[-1] if self.open else ("", {})
        if tag == "script":
            if attrs.get("type") == "application/json":
                self.figures.append(json.loads(data, parse_constant=lambda c: pytest.fail(f"{c} in a figure")))
            else:
                self.scripts.append(data)
        elif tag == "style":
            self.styles.append(data)
        else:
            self.words.append(data)

    def traces(self, view=None, **wanted):
        return [
            t
            for views in self.figures
            for v in views
            if view is None or v["name"] == view or v["vertical"] == view
            for t in v["figure"]["data"]
            if all(t.get(k) == x for k, x in wanted.items())
        ]


def page(run):
    return Page(render(*run))


def of(records, kind, **wanted):
    return [r for r in records if r["record"] == kind and all(r[k] == v for k, v in wanted.items())]


@pytest.fixture
def run(made):
    return made("classes_run")


@pytest.mark.parametrize("name", RUNS)
def test_page_is_whole_and_loads_nothing(made, name):
    maker, *arguments = RUNS[name]
    config, records = made("classes_run", EIGHT, 2, 10, 8) if maker == "eight" else made(maker, *arguments)
    text = render(config, records)
    p = Page(text)
    assert len(text.encode()) < 6_300_000
    loads = [
        (t, k, v)
        for t, a in p.tags
        for k, v in a.items()
        if k in {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}
    ]
    assert loads
    assert all(k == "href" and v.startswith("#") for _, k, v in loads), loads
    assert not [t for t, _ in p.tags if t in {"link", "iframe", "object", "embed", "base", "img"}]
    css = "".join(p.styles) + "".join(a.get("style") or "" for _, a in p.tags)
    assert "url(" not in css
    assert "@import" not in css
    policy = next(a["content"] for _, a in p.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert sum("plotly.js v" in s for s in p.scripts) == 1
    anchors = {a["id"] for t, a in p.tags if t == "section"}
    assert {v[1:] for _, _, v in loads} == anchors
    headings = "".join(p.words)
    assert all(pair in headings for pair in config["pairs"])


EIGHT = (
    "softmax+cross_entropy", "sigmoid+cross_entropy", "softmax+mse", "sigmoid+mse",
    "softmax+mae", "softmax+huber", "sigmoid+huber", "softmax+binary_cross_entropy",
)  # fmt: skip


def test_colours_of_the_figures_are_in_the_style_for_both_schemes(made):
    p = page(made("classes_run", EIGHT, 2, 10, 8))
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", json.dumps(p.figures)))
    light, dark = "".join(p.styles).split("prefers-color-scheme: dark", 1)
    assert {"--pair-0", "--pair-7", "--pair-0-soft", "--ink"} <= used
    for name in used:
        assert f"{name}:" in light
        assert f"{name}:" in dark


def test_a_pair_has_one_colour_through_the_page(run):
    p = page(run)
    for i, pair in enumerate(run[0]["pairs"]):
        lines = p.traces(legendgroup=pair, mode="lines") + p.traces(legendgroup=pair, mode="lines+markers")
        colours = {t["line"]["color"] for t in lines if t["line"].get("color")}
        assert len(lines) > 10
        assert colours == {f"var(--pair-{i})"}


def test_verdict_comes_first_with_the_sentence_and_the_ranking(run):
    config, records = run
    p = page(run)
    sentence = records[-1]["sentence"]
    assert sentence in p.text
    assert p.text.index(sentence) < p.text.index("How fast each pair learns")
    ranking = records[-1]["ranking"]
    rows = render(config, records).partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")
    shown = [re.sub(r"<title>.*?</title>|<[^>]+>", " ", row).split() for row in rows if row]
    assert len(shown) == len(ranking)
    for words, r in zip(shown, ranking, strict=True):
        assert words[0] == r["pair"]
        assert words[2] == "±"
        assert float(words[1]) == pytest.approx(r["mean"], abs=1e-3)
        assert float(words[3]) == pytest.approx(r["spread"], rel=0.06)
    assert [w[0] for w in shown] != config["pairs"], "best first, not in the order they were named"


def test_learning_curves_are_the_mean_and_spread_over_the_seeds(run):
    _, records = run
    p = page(run)
    pair = "sigmoid+mse"
    (line,) = p.traces("Accuracy", name=pair)
    seeds = [{r["epoch"]: r["metrics"]["accuracy"] for r in of(records, "epoch", pair=pair, seed=s)} for s in range(3)]
    last = min(max(s) for s in seeds)
    assert line["x"] == list(range(last + 1))
    values = np.array([[s[e] for e in line["x"]] for s in seeds])
    assert line["y"] == pytest.approx(values.mean(axis=0).tolist(), abs=1e-12)
    (band,) = p.traces("Accuracy", name="spread", legendgroup=pair)
    deviation = values.std(axis=0, ddof=1)
    assert band["y"][: last + 1] == pytest.approx((values.mean(axis=0) + deviation).tolist(), abs=1e-12)
    assert band["y"][:last:-1] == pytest.approx((values.mean(axis=0) - deviation).tolist(), abs=1e-12)
    tails = p.traces("Accuracy", name="one seed", legendgroup=pair)
    assert sorted(t["x"][-1] for t in tails) == sorted(max(s) for s in seeds if max(s) > last)
    assert all(t["x"][0] == last for t in tails)
    assert {"Accuracy", "Macro F1", "Cost, validation rows", "Cost, training rows"} <= {v["name"] for v in p.figures[0]}
    assert "AUC" not in {v["name"] for v in p.figures[0]}, "nulls only"


def test_gradient_and_scores_of_one_seed_are_the_snapshot_itself(made):
    run = made("classes_run", ("sigmoid+mse",), 1, 10, 12)
    p = page(run)
    panels = p.traces("gradient |δ|", name="sigmoid+mse")
    shots = of(run[1], "snapshot")
    assert [t["y"] for t in panels] == [s["error"]["delta"] for s in shots]
    edges = shots[0]["error"]["edges"]
    assert panels[0]["x"] == pytest.approx([(a + b) / 2 for a, b in pairwise(edges)])
    shares = p.traces("share of the error that gets through", name="sigmoid+mse")
    assert [t["y"] for t in shares] == [s["error"]["gain"] for s in shots]
    for moment, shot in zip(("start", "middle", "end"), shots, strict=True):
        (drawn,) = p.traces(name=moment)
        assert drawn["x"] == shot["scores"]["edges"]
        assert drawn["meta"] == shot["scores"]["counts"]
    (curve,) = p.traces(name="φ(z)")
    assert curve["y"] == run[0]["formulas"]["sigmoid+mse"]["curve"]["v"]


def test_seeds_are_pooled_by_their_counts(run):
    p = page(run)
    drawn = p.traces("gradient |δ|", name="sigmoid+mse")[-1]
    bins = [s["error"] for s in of(run[1], "snapshot", pair="sigmoid+mse", moment="end")]
    for i, value in enumerate(drawn["y"]):
        n = sum(b["count"][i] for b in bins)
        expected = sum(b["count"][i] * (b["delta"][i] or 0) for b in bins) / n if n else None
        assert value == (pytest.approx(expected) if n else None)
    pooled = p.traces(name="end")[-1]
    counts = sum(sum(s["scores"]["counts"]) for s in of(run[1], "snapshot", pair="sigmoid+mse", moment="end"))
    assert sum(pooled["meta"]) == pytest.approx(counts)


def test_bins_of_few_outputs_are_faint_and_off_the_line(made):
    config, records = made("classes_run", ("sigmoid+mse",), 1, 10, 12)
    final = of(records, "final")[0]
    final["calibration"] = {
        "predicted": [0.2, 0.5, None, 0.9],
        "observed": [1.0, 0.4, None, 0.95],
        "count": [2, 30, 0, 400],
    }
    p = page((config, records))
    (line,) = p.traces("how often it is true", name="sigmoid+mse")
    (few,) = p.traces("how often it is true", name="few")
    assert (line["x"], line["y"], line["customdata"]) == ([0.5, 0.9], [0.4, 0.95], [30, 400])
    assert (few["x"], few["y"], few["customdata"]) == ([0.2], [1.0], [2])


def test_the_metrics_axis_spans_what_comes_after_epoch_0(run):
    _, records = run
    layout = page(run).figures[0][0]["figure"]["layout"]
    low, high = layout["yaxis"]["range"]
    later = [r["metrics"]["accuracy"] for r in of(records, "epoch") if r["epoch"] > 0]
    assert low < min(later) + 0.05
    assert high > max(later) - 0.01


def test_no_score_histogram_has_a_curve_where_the_records_have_none(made):
    p = page(made("classes_run", ("softmax+cross_entropy",), 1, 10, 8))
    assert p.traces(name="end")
    assert not p.traces(name="φ(z)")


def test_starved_confusion_calibration_and_rates_equal_the_records(run):
    _, records = run
    p = page(run)
    (line,) = p.traces("starved, of all outputs, validation rows", name="sigmoid+mse")
    at_four = [r["starved"] for r in of(records, "epoch", pair="sigmoid+mse", epoch=4)]
    assert line["y"][4] == pytest.approx(np.mean(at_four))
    winner = records[-1]["winner"]
    matrix = np.sum([r["confusion"] for r in of(records, "final", pair=winner)], axis=0)
    heat = p.traces(winner, type="heatmap")[0]
    assert [[cell[0] for cell in row] for row in heat["customdata"]] == matrix.tolist()
    assert heat["z"] == pytest.approx((matrix / matrix.sum(axis=1, keepdims=True)), abs=1e-12)
    finals = [r["calibration"] for r in of(records, "final", pair="softmax+mse")]
    (drawn,) = p.traces("how often it is true", name="softmax+mse")
    n = sum(c["count"][-1] for c in finals)
    assert drawn["y"][-1] == pytest.approx(sum(c["observed"][-1] * c["count"][-1] for c in finals) / n)
    assert drawn["customdata"][-1] == n
    (rates,) = p.traces("score of a short run", name="softmax+cross_entropy")
    tried = of(records, "rate", pair="softmax+cross_entropy")
    assert (rates["x"], rates["y"]) == ([r["learning_rate"] for r in tried], [r["score"] for r in tried])
    assert "Diverged: softmax+cross_entropy at 1 rate." in p.text


def test_sentences_hold_the_figures(run):
    _, records = run
    p = page(run)
    starved = {}
    for e in range(20):
        starved[e] = np.mean([r["starved"] for r in of(records, "epoch", pair="sigmoid+mse", epoch=e)])
    worst = max(starved, key=lambda e: starved[e])
    assert starved[worst] > 0.01
    assert f"sigmoid+mse starves most: {100 * starved[worst]:.1f}".removesuffix(".0") in p.text
    assert re.search(rf"of its outputs at epoch {worst}\.", p.text)
    assert re.search(
        r"sigmoid\+mse gets no further than accuracy 0\.\d+, after \d+ epochs; "
        r"softmax\+cross_entropy is there after \d+",
        p.text,
    )
    assert re.search(r"At the end, the most wrong outputs of sigmoid\+mse .* send back a mean \|δ\| of 0\.0", p.text)
    matrix = np.sum([r["confusion"] for r in of(records, "final", pair=records[-1]["winner"])], axis=0)
    assert f"{matrix.sum() - np.trace(matrix)} of 1 080 test outputs over 3 seeds are wrong" in p.text


def test_values_have_residuals_and_neither_calibration_nor_confusion(made):
    run = made("values_run")
    p = page(run)
    assert "Whether a probability means" not in p.text
    assert not p.traces(type="heatmap")
    first = of(run[1], "final", pair="identity+mse", seed=0)[0]["residuals"]
    (points,) = p.traces("identity+mse", mode="markers")
    assert (points["x"], points["y"]) == (first["predicted"], first["residual"])
    assert "4 rows without a target were left out" in p.text


def test_regions_are_drawn_with_the_points(made):
    run = made("plane_run")
    p = page(run)
    found = of(run[1], "final")[0]["regions"]
    heat = p.traces("petal length", type="heatmap")[0]
    assert (heat["x"], heat["y"], heat["z"]) == (found["x"]["values"], found["y"]["values"], found["prediction"])
    assert p.traces("petal length", mode="markers")[0]["x"] == found["points"]["x"]
    assert "petal <width>" not in json.dumps(p.figures), "plotly reads tags in titles"


EVIL = '</script><script>alert("1")</script><img src=x onerror=alert(1)>&'


def test_everything_from_the_data_is_escaped(made):
    config, records = made("plane_run")
    data = config["data"]
    data["classes"][0] = EVIL
    data["columns"][0] = {"name": EVIL, "kind": EVIL, "action": EVIL, "features": 1}
    data["dropped"] = [{"name": EVIL, "why": EVIL}]
    data["source"] = data["target"] = config["name"] = config["machine"] = config["created"] = EVIL
    config["settings"][EVIL] = {EVIL: [EVIL]}
    config["versions"][EVIL] = EVIL
    config["advice"] |= {
        "pair": EVIL,
        "reasons": [EVIL],
        "alternatives": [[EVIL, EVIL]],
        "avoid": [[EVIL, EVIL]],
        "seen": {EVIL: EVIL},
    }
    for f in config["formulas"].values():
        f |= {
            "summary": EVIL,
            "formula": EVIL,
            "reference": EVIL,
            "formula_latex": rf"\text{{{EVIL}}}",
            "derivative_latex": r"\frac{",
        }
    records[-1]["sentence"] = EVIL
    text = json.dumps([config, records]).replace("sigmoid+mse", json.dumps("<u>" + EVIL)[1:-1])
    p = page(json.loads(text))
    allowed = {"script": 2 + len(p.figures), "img": 0, "u": 0}
    assert {t: sum(tag == t for tag, _ in p.tags) for t in allowed} == allowed
    assert not [a for _, a in p.tags if any(k.startswith("on") for k in a)]
    assert p.text.count('alert("1")') > 15
    # plotly reads tags in what it writes into a figure; a legendgroup is only compared.
    drawn = [v["figure"] for views in p.figures for v in views]
    for trace in (t for f in drawn for t in f["data"]):
        trace.pop("legendgroup", None)
    written = json.dumps(drawn, ensure_ascii=False)
    assert "<script" not in written
    assert "<u>" not in written
    assert "&lt;/script" in written
    assert "&lt;u&gt;" in written


def test_formulas_are_mathml_with_the_plain_text_to_read_out(run):
    p = page(run)
    spoken = [a for _, a in p.tags if a.get("role") == "math"]
    assert len(spoken) == 2 * len(run[0]["pairs"])
    assert {a["aria-label"] for a in spoken} == {"l(phi(z), y)", "l'(v, y) phi'(z)"}
    assert sum(t == "math" for t, _ in p.tags) == len(spoken)


@pytest.mark.parametrize("kept", [0, 1, 5, 20, 60, 150, 500])
def test_interrupted_runs_say_what_was_done(run, kept):
    config, records = run
    cut = records[:kept]
    p = page((config, cut))
    done = len(of(cut, "final"))
    assert f"Interrupted: {done} training{'s' if done != 1 else ''} of 12 finished" in p.text
    assert "--resume" in p.text
    assert "no test result yet for" in p.text
    assert "sigmoid+mse" in p.text


@pytest.mark.parametrize("maker", ["classes_run", "values_run"])
def test_without_a_verdict_the_trainings_themselves_are_ranked(made, maker):
    config, records = made(maker)
    order = [r["pair"] for r in records[-1]["ranking"]]
    text = render(config, records[:-1])
    rows = text.partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")
    assert [re.sub(r"<[^>]+>", " ", row).split()[0] for row in rows if row] == order
    assert f"So far {order[0]} is ahead" in Page(text).text


def nulled(x, keep):
    """The same record with every figure gone."""
    if isinstance(x, dict):
        return {k: v if k in keep else nulled(v, keep) for k, v in x.items()}
    if isinstance(x, list):
        return [nulled(v, keep) for v in x]
    return None if isinstance(x, float) else x


@pytest.mark.parametrize("maker", ["classes_run", "values_run", "plane_run"])
@pytest.mark.parametrize("gone", ["figures", "parts"])
def test_nulls_anywhere(made, maker, gone):
    config, records = made(maker)
    if gone == "figures":
        records = nulled(records, keep=("edges", "values", "learning_rate"))
    else:
        fixed = ("record", "pair", "seed", "epoch", "moment")
        records = [{k: v if k in fixed else None for k, v in r.items()} for r in records]
        config = {"pairs": config["pairs"]} | {k: None for k in config if k != "pairs"}
    assert "Interrupted" not in page((config, records)).text


def test_verdict_without_a_winner_and_interrupted_trainings(run):
    config, records = run
    for r in of(records, "final", pair="sigmoid+mse"):
        r["stopped"] = "interrupted"
    assert "3 trainings were interrupted" in page((config, records)).text


def test_of_a_resumed_run_the_later_record_holds(made):
    config, records = made("classes_run", ("sigmoid+mse",), 1, 10, 12)
    again = [dict(r, starved=0.75) for r in of(records, "epoch", epoch=3)]
    p = page((config, [*records, *again]))
    assert p.traces("starved, of all outputs, validation rows", name="sigmoid+mse")[0]["y"][3] == 0.75


def test_the_starved_are_shown_as_a_share_of_the_wrong_too(made):
    config, records = made("classes_run", ("sigmoid+mse",), 1, 10, 12)
    records = [
        dict(r, starved=0.02, wrong=0.08 if r["epoch"] else 0.0) if r["record"] == "epoch" else r for r in records
    ]
    line = page((config, records)).traces("starved, of outputs wrong by more than half", name="sigmoid+mse")[0]
    assert line["y"][-1] == pytest.approx(0.25)


def test_the_remark_stands_under_the_verdict(run):
    config, records = run
    records[-1]["remark"] = "Starved: sigmoid+mse 24%."
    text = page((config, records)).text
    assert text.index(records[-1]["sentence"][-30:]) < text.index("24%.")


# --- write_report


def write(folder, run, tail=""):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(run[0]))
    (folder / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in run[1]) + tail)
    return folder


@pytest.fixture
def small(made):
    return made("classes_run", ("sigmoid+mse",), 1, 10, 12)


@pytest.mark.parametrize("tail", ["", '{"record": "epoch", "pa', "12", "\n"])
def test_written_page_is_the_rendered_one_and_a_torn_line_is_left_out(tmp_path, small, tail):
    folder = write(tmp_path / "run", small, tail)
    path = write_report(folder)
    assert path == folder / "report.html"
    assert path.read_text(encoding="utf-8") == render(*small)
    assert {p.name for p in folder.iterdir()} == {"config.json", "results.jsonl", "report.html"}


def test_a_failed_write_leaves_the_old_page(tmp_path, small, monkeypatch):
    folder = write(tmp_path / "run", small)
    (folder / "report.html").write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InvalidValue, match="No space left"):
        write_report(folder)
    assert (folder / "report.html").read_text() == "old"
    assert {p.name for p in folder.iterdir()} == {"config.json", "results.jsonl", "report.html"}


def damage(folder, how):
    if how == "no folder":
        return folder / "elsewhere"
    if how == "no config":
        (folder / "config.json").unlink()
    elif how == "no results":
        (folder / "results.jsonl").unlink()
    elif how == "config not JSON":
        (folder / "config.json").write_text("{")
    elif how == "config without pairs":
        (folder / "config.json").write_text("[]")
    elif how == "line in the middle":
        text = (folder / "results.jsonl").read_text()
        (folder / "results.jsonl").write_text('{"record": "epo\n' + text)
    elif how == "record without its pair":
        (folder / "results.jsonl").write_text('{"record": "epoch", "epoch": 3, "seed": 0}\n')
    return folder


@pytest.mark.parametrize(
    "how",
    [
        "no folder",
        "no config",
        "no results",
        "config not JSON",
        "config without pairs",
        "line in the middle",
        "record without its pair",
    ],
)
def test_damaged_folders_are_refused_with_what_to_do(tmp_path, small, how):
    folder = damage(write(tmp_path / "run", small), how)
    with pytest.raises(InvalidValue, match=r"(?i)run the study again"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_missing_extra_is_named(monkeypatch, small):
    for name in [m for m in sys.modules if m.startswith(("costlayer.report.", "plotly"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(MissingExtra, match=r"costlayer\[study\]"):
        render(*small)
