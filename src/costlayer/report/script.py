"""The page's script: draws the figures in the colours of the scheme, and again when it changes."""

SCRIPT = r"""
(() => {
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")].map(box => ({
    box, canvas: box.querySelector(".canvas"), view: 0, drawn: false, hidden: new Set(),
    views: JSON.parse(box.querySelector("script").textContent),
  }));

  // Figures name their colours as CSS variables; plotly wants the colours themselves.
  const painter = () => {
    const style = getComputedStyle(root), known = {};
    const paint = x => {
      if (typeof x === "string") {
        const m = /^var\((--[a-z0-9-]+)\)$/.exec(x);
        return m ? (known[m[1]] ??= style.getPropertyValue(m[1]).trim()) || x : x;
      }
      if (Array.isArray(x)) return x.map(paint);
      if (x && typeof x === "object") return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, paint(v)]));
      return x;
    };
    return paint;
  };
  const draw = (plot, paint = painter()) => {
    const view = plot.views[plot.view] ?? plot.views[0], figure = paint(view.figure);
    for (const trace of figure.data) if (plot.hidden.has(trace.legendgroup)) trace.visible = false;
    plot.box.querySelector(".vertical").textContent = view.vertical;
    plot.drawn = true;
    const size = { width: plot.canvas.clientWidth, height: plot.canvas.clientHeight };
    Plotly.react(plot.canvas, figure.data, { ...figure.layout, ...size }, { displayModeBar: false, scrollZoom: false });
  };
  const redraw = all => { const paint = painter(); for (const p of plots) if (all || p.drawn) draw(p, paint); };

  // One figure a task, from the top, so that the page can be read and scrolled meanwhile.
  const rest = [...plots];
  const next = () => { const p = rest.shift(); if (p) { if (!p.drawn) draw(p); setTimeout(next); } };
  next();

  let width = innerWidth, timer;
  addEventListener("resize", () => {
    if (innerWidth === width || root.dataset.print) return;
    width = innerWidth; clearTimeout(timer); timer = setTimeout(redraw, 120);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  addEventListener("beforeprint", () => {
    root.dataset.print = "1";
    for (const d of document.querySelectorAll("details")) d.open = true;
    redraw(true);
  });
  addEventListener("afterprint", () => { delete root.dataset.print; redraw(); });

  for (const section of document.querySelectorAll("section")) {
    const own = plots.filter(p => section.contains(p.box));
    for (const button of section.querySelectorAll(".legend button")) button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") === "false", pair = button.dataset.pair;
      button.setAttribute("aria-pressed", on);
      for (const p of own) { on ? p.hidden.delete(pair) : p.hidden.add(pair); if (p.drawn) draw(p); }
    });
    for (const select of section.querySelectorAll("select")) select.addEventListener("change", () => {
      for (const p of own) { p.view = select.selectedIndex; if (p.drawn) draw(p); }
    });
  }
})();
"""
