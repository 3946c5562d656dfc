"""The report of a study: one HTML page, made from the plain records of a run folder.

It reads dictionaries only, so a run can be reported on a machine that has neither torch nor the data.
"""

import os
import tempfile
from pathlib import Path

from costlayer.errors import InvalidValue, MissingExtra
from costlayer.report.records import collect, read

__all__ = ["render", "write_report"]


def render(config: dict, records: list[dict]) -> str:
    """The report as one HTML page that needs nothing from outside itself.

    Arguments:
        config: what config.json of a run folder holds.
        records: the records of results.jsonl, in time order. Any part may be missing (an interrupted run);
            the page then says what there is.

    Returns:
        the page's text.

    Raises:
        InvalidValue: config or a record lacks what it cannot do without (`pairs`, `pair`, `seed` …).
        MissingExtra: plotly or latex2mathml is not installed.

    Example:
        >>> from costlayer.report import render
        >>> page = render({"name": "first look", "pairs": ["sigmoid+mse"]}, [])
        >>> "first look" in page
        True
    """
    try:
        from costlayer.report.page import page
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("plotly", "latex2mathml"):
            raise
        raise MissingExtra(package, "study") from error
    return page(collect(config, records))


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder, from its `config.json` and `results.jsonl`.

    The page replaces an older one in one step: whoever opens it meanwhile sees the old page or the new one. A last
    line of results.jsonl that was cut off in the middle of writing is left out.

    Arguments:
        folder: the run folder, `runs/NAME`.

    Returns:
        the path of the page.

    Raises:
        InvalidValue: the folder is not a run folder, is damaged, or cannot be written.
        MissingExtra: plotly or latex2mathml is not installed.

    Example:
        >>> import json, pathlib, tempfile
        >>> from costlayer.report import write_report
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "config.json").write_text(json.dumps({"pairs": ["sigmoid+mse"]}))
        >>> _ = (folder / "results.jsonl").write_text("")
        >>> write_report(folder).name
        'report.html'
    """
    folder = Path(folder)
    text = render(*read(folder))
    target = folder / "report.html"
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".report-", suffix=".html", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # mkstemp makes files that only their owner reads; a report is made to be passed on.
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        raise InvalidValue(
            "folder", f"{folder}: {error.strerror}", "a folder that can be written", "Free space or choose another."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return target
