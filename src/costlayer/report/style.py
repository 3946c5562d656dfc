"""The page's style sheet. Colours live here alone; the figures name them as CSS variables."""

# Okabe and Ito's palette, darkened or lightened to read on paper and on black; the sets must keep one order.
PAIRS_LIGHT = ("#0072B2", "#D55E00", "#00896B", "#B8508C", "#B07F00", "#3A9AD0", "#5A5A5A", "#84802A")
PAIRS_DARK = ("#58A9E6", "#F28C4B", "#35C496", "#E39AC6", "#E6BB48", "#9AD8F8", "#C4C4C4", "#C3BF5E")
CLASSES_LIGHT = (
    "#3B6FB6",
    "#D9772B",
    "#3B9B76",
    "#B4538A",
    "#A38A1E",
    "#5BA4CF",
    "#7A5BA8",
    "#8A5A3C",
    "#6B7280",
    "#4C8C2B",
)
CLASSES_DARK = (
    "#6FA3E8",
    "#F19C5A",
    "#5CC9A0",
    "#E08ABB",
    "#D9BE4A",
    "#8CCBEF",
    "#AC90DC",
    "#C79272",
    "#A3ABB8",
    "#88C665",
)


def variables(pairs: tuple[str, ...], classes: tuple[str, ...], soft: str, region: str) -> str:
    """The numbered colours; `soft` and `region` are the two hexadecimal digits of opacity for their faint kinds."""
    out = [f"--pair-{i}:{c};--pair-{i}-soft:{c}{soft};" for i, c in enumerate(pairs)]
    out += [f"--class-{i}:{c};--class-{i}-soft:{c}{region};" for i, c in enumerate(classes)]
    return "".join(out)


STYLE = (
    ":root{color-scheme:light;"
    + variables(PAIRS_LIGHT, CLASSES_LIGHT, "26", "4D")
    + """
  --paper:#ffffff; --wash:#f5f6f7; --ink:#17191c; --muted:#5c636d; --line:#d5d9de; --grid:#eaecef; --flat:#0000000d;
  --heat-0:#f5f6f7; --heat-1:#d3e3f1; --heat-2:#86b6dc; --heat-3:#0b5d96; }
@media screen and (prefers-color-scheme: dark) { :root:not([data-print]) { color-scheme:dark;
"""
    + variables(PAIRS_DARK, CLASSES_DARK, "30", "59")
    + """
  --paper:#121417; --wash:#1a1d21; --ink:#eceef1; --muted:#a0a8b3; --line:#363c44; --grid:#24282e; --flat:#ffffff12;
  --heat-0:#1a1d21; --heat-1:#1d3a52; --heat-2:#2b6a9c; --heat-3:#8cc6f2; } }

* { box-sizing:border-box; }
html { -webkit-text-size-adjust:100%; scroll-behavior:smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior:auto; } }
body { margin:0; background:var(--paper); color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif; }
main { max-width:1000px; margin:0 auto; padding:40px 28px 72px; }
p { margin:0 0 .6em; max-width:44em; }
h1 { font-size:clamp(1.4rem, 1.1rem + 1.5vw, 2rem); line-height:1.28; font-weight:650; letter-spacing:-.012em;
  margin:.35em 0 .6em; max-width:27em; text-wrap:pretty; overflow-wrap:break-word; }
h1.long { font-size:clamp(1.25rem, 1.05rem + .9vw, 1.6rem); line-height:1.35; max-width:34em; }
h2 { font-size:1.3rem; line-height:1.3; font-weight:650; letter-spacing:-.008em; margin:0 0 .35em; }
h3 { font-size:1rem; font-weight:600; margin:1.6em 0 .4em; }
h4 { font-size:.875rem; font-weight:600; margin:0 0 .15em; display:flex; flex-wrap:wrap; gap:0 .8em;
  align-items:baseline; }
h4 small { font-weight:400; color:var(--muted); font-size:.8125rem; }
section { border-top:1px solid var(--line); padding:34px 0 0; margin:40px 0 0; scroll-margin-top:8px; }
.above { color:var(--muted); font-size:.875rem; margin:0; }
.look { color:var(--muted); }
.notice { border-left:3px solid var(--pair-1); background:var(--wash); padding:.8em 1.1em; margin:0 0 1.2em;
  max-width:none; }
.pair { font-weight:600; color:var(--c, inherit); overflow-wrap:break-word; }
.mark { width:20px; height:4px; flex:none; vertical-align:middle; }
.chip { display:inline-flex; align-items:center; gap:.5em; }
nav { margin:26px 0 0; font-size:.875rem; display:flex; flex-wrap:wrap; gap:.35em 1.25em; }
nav a { color:var(--muted); text-decoration:none; border-bottom:1px solid var(--line); padding:.15em 0; }
nav a:hover, nav a:focus-visible { color:var(--ink); border-color:var(--ink); }

.facts { display:flex; flex-wrap:wrap; gap:18px 20px; margin:1.6em 0 1.8em; }
.facts div { flex:1 1 auto; border-top:2px solid var(--ink); padding-top:.45em; }
.facts dt { color:var(--muted); font-size:.8125rem; }
.facts dd { margin:0; font-weight:600; line-height:1.4; }
dl { margin:0; }

.scroll { overflow-x:auto; }
table { border-collapse:collapse; font-size:.9rem; font-variant-numeric:tabular-nums; margin:.2em 0 .6em; }
table.wide { width:100%; }
th { text-align:left; font-weight:500; color:var(--muted); font-size:.8125rem; vertical-align:bottom; }
thead th { border-bottom:1px solid var(--line); }
th, td { padding:.5em .9em .5em 0; }
td { border-bottom:1px solid var(--grid); vertical-align:top; }
tbody th { border-bottom:1px solid var(--grid); vertical-align:top; font-size:.9rem; }
.number { text-align:right; white-space:nowrap; }
th.number { white-space:normal; }
.best { font-weight:650; }
tr.won td:first-child { font-weight:650; }
.strip { width:100px; height:20px; display:block; }
td.first { white-space:nowrap; }

.legend { display:flex; flex-wrap:wrap; gap:.2em .4em; margin:.9em 0 .6em -.5em; font-size:.875rem; }
.legend button { font:inherit; color:inherit; background:none; border:0; border-radius:6px; padding:.3em .5em;
  cursor:pointer;
  display:inline-flex; align-items:center; gap:.5em; min-height:32px; }
.legend button:hover { background:var(--wash); }
.legend button[aria-pressed=false] { opacity:.4; text-decoration:line-through; }
.legend span.chip { padding:.3em .5em; }
select { font:inherit; font-size:.9rem; color:var(--ink); background:var(--paper); border:1px solid var(--line);
  border-radius:6px; padding:.35em .5em; max-width:100%; min-height:36px; }
.choose { display:flex; flex-wrap:wrap; align-items:center; gap:.6em; font-size:.875rem; color:var(--muted);
  margin:1em 0 .2em; }
.plots { display:grid; grid-template-columns:repeat(auto-fit, minmax(min(100%, var(--least, 280px)), 1fr));
  gap:22px 28px; margin:.8em 0 0; }
.plots > * { min-width:0; display:flex; flex-direction:column; justify-content:flex-end; }
.vertical { color:var(--muted); font-size:.8125rem; margin:.3em 0 0; }
.key { display:flex; flex-wrap:wrap; gap:.3em 1.3em; font-size:.8125rem; color:var(--muted); margin:.9em 0 0; }
.key span { display:inline-flex; align-items:center; gap:.5em; }
.key i { width:14px; height:14px; border-radius:3px; display:inline-block; }

.formulas { display:grid; grid-template-columns:repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap:28px 36px;
  margin-top:1.2em; }
.formulas article { min-width:0; }
.formula { overflow-x:auto; overflow-y:hidden; padding:.45em 0; font-size:1.05rem; }
.formula code, code { font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace; }
.formulas dt { color:var(--muted); font-size:.8125rem; margin-top:.4em; }
.formulas dd { margin:0; }
.reference { color:var(--muted); font-size:.8125rem; overflow-wrap:anywhere; }
ul { padding-left:1.2em; margin:.2em 0 1em; max-width:46em; }
li { margin:.25em 0; }
details { margin:.4em 0 1em; } summary { cursor:pointer; color:var(--muted); }
.columns { display:grid; grid-template-columns:repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap:0 44px; }
.pairs-of { display:grid; grid-template-columns:minmax(8em, max-content) 1fr; gap:.3em 1.4em; font-size:.9rem;
  margin:.2em 0 1em; }
.pairs-of dt { color:var(--muted); } .pairs-of dd { margin:0; overflow-wrap:anywhere; }
footer { color:var(--muted); font-size:.8125rem; border-top:1px solid var(--line); margin-top:48px; padding-top:16px; }

@media (max-width:600px) {
  main { padding:24px 18px 48px; } section { margin-top:30px; padding-top:26px; }
  .facts div { flex-basis:40%; } table { font-size:.8125rem; } tbody th { font-size:.8125rem; }
  td, th { padding-right:.75em; }
  .pairs-of { grid-template-columns:1fr; gap:0; } .pairs-of dd { margin-bottom:.55em; }
}
:root[data-print] main { max-width:700px; padding:0; }
:root[data-print] .plots { --least:200px !important; gap:16px; }
:root[data-print] :is(table, th) { font-size:.68rem; }
:root[data-print] :is(td, th) { padding-right:.4em; } :root[data-print] .strip { width:60px; }
@page { margin:16mm 14mm; }
@media print {
  body { font-size:10.5pt; } nav, .choose, noscript { display:none; }
  section { break-inside:auto; margin-top:22px; padding-top:20px; }
  h2, h3, h4, .legend { break-after:avoid; } .plot, tr, article, .facts { break-inside:avoid; }
  .scroll { overflow:visible; }
}
"""
)
