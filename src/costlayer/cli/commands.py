"""The commands. Each imports what it needs when it is called, so that `costlayer --help` answers at once."""

import functools
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from costlayer.errors import CacheWarning, CostLayerError, InvalidValue, MissingExtra, nearest

app = typer.Typer(
    name="costlayer",
    help="Output activation and cost as one layer: the pair your data asks for, and what it does.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A CSV, TSV, Parquet, Arrow, NDJSON or .npz file; or digits, breast_cancer, wine, iris, diabetes.",
    ),
]
_Target = Annotated[
    str | None, typer.Option("--target", "-t", metavar="COLUMN", help="The column to predict. Bundled sets have one.")
]
_Kind = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="What the target is, where it would be taken for something else: "
        "binary, classes, count, positive, fraction or real.",
    ),
]


def _command(function: Callable[..., int | None]) -> Callable[..., None]:
    """Register a command; bad input ends it with a message and 2, Ctrl-C with 130, and no traceback."""

    @functools.wraps(function)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            code = function(*args, **options) or 0
        except CostLayerError as error:
            code = _say(f"costlayer: {error}", 2)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if not package or package == "costlayer":
                raise
            code = _say(f"costlayer: {MissingExtra(package, 'study')}", 2)
        except KeyboardInterrupt:
            code = _say("Interrupted.", 130)
        except BrokenPipeError:  # who read our output has gone, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        except OSError as error:
            code = _say(f"costlayer: {error.filename or 'output'}: {error.strerror or error}", 2)
        raise typer.Exit(code)

    app.command()(guarded)
    return guarded


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"costlayer {version('costlayer')}")
        raise typer.Exit


@app.callback(
    epilog="Begin with `costlayer study`, which needs nothing else, and `costlayer choose DATA --target COLUMN`."
)
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


@_command
def study(
    context: typer.Context,
    data: _Data = "digits",
    target: _Target = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="The pairs to study, such as sigmoid+mse,identity+huber:delta=2; "
            "else the advised one and those worth contrasting with it.",
        ),
    ] = None,
    kind: _Kind = None,
    hidden: Annotated[
        str, typer.Option(metavar="N,…", help="Widths of the hidden layers; the word none: no hidden layer.")
    ] = "64,64",
    activation: Annotated[
        str, typer.Option(help="Hidden activation: relu, leaky_relu, elu, gelu, silu, softplus, tanh or sigmoid.")
    ] = "relu",
    optimizer: Annotated[
        str, typer.Option(help="sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam or adamw.")
    ] = "sgd",
    epochs: Annotated[int, typer.Option(help="The most epochs.")] = 60,
    batch_size: Annotated[int, typer.Option(help="Rows a batch.")] = 64,
    seeds: Annotated[int, typer.Option(help="How many times each pair is trained, from other initial weights.")] = 5,
    patience: Annotated[int, typer.Option(help="Stop after so many epochs without a lower validation loss.")] = 8,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "cpu",
    precision: Annotated[str, typer.Option(help="32-true, 64-true or bf16-mixed.")] = "32-true",
    name: Annotated[str | None, typer.Option(help="Name of the run; the table's when not given.")] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of that name.")] = False,
) -> int:
    """Train the same network with several pairs, and say which does best.

    Writes RUNS/NAME/: the report, the records, and the best network. Ctrl-C keeps what is done; --resume goes on.

    Examples:

        costlayer study

        costlayer study houses.csv --target price

        costlayer study houses.csv -t price --pairs identity+mse,identity+huber:delta=2 --hidden 128,64 --seeds 5
    """
    console = Console()
    with console.status("Reading the data") if console.is_terminal else _Quiet():
        from costlayer.study.folder import RunFolder
        from costlayer.study.progress import Lines, Live
        from costlayer.study.run import study as run
        from costlayer.study.table import run_name
        from costlayer.study.train import Settings

        given: dict[str, Any] = {
            "hidden": _widths(hidden),
            "activation": activation,
            "optimizer": optimizer,
            "epochs": epochs,
            "batch_size": batch_size,
            "seeds": seeds,
            "patience": patience,
            "accelerator": accelerator,
            "precision": precision,
        }
        named = [text.strip() for text in pairs.split(",") if text.strip()] if pairs is not None else None
        if resume:  # what is not said again is as it was
            silent = {option for option in context.params if _unsaid(context, option)}
            kept = RunFolder(runs / (name or run_name(data))).read_config()
            given |= {option: kept["settings"][option] for option in given if option in silent}
            data = kept["data"]["source"] if "data" in silent else data
            target = kept["data"]["target"] if "target" in silent else target
            named = kept["pairs"] if "pairs" in silent else named
            if "kind" in silent and kept["advice"]["seen"].get("kind_given"):
                kind = kept["data"]["kind"]
        given["hidden"] = tuple(given["hidden"])
        settings = Settings(**given)
    outcome = run(
        data,
        target,
        kind=kind,
        pairs=named,
        settings=settings,
        name=name,
        runs=runs,
        resume=resume,
        overwrite=overwrite,
        listener=(Live if console.is_terminal else Lines)(console),
    )
    if outcome.verdict:
        console.print(_ranking(outcome))
        for text in filter(None, (outcome.verdict["sentence"], outcome.verdict["remark"])):
            console.print(text, markup=False, highlight=False, soft_wrap=not console.is_terminal)
    console.print(f"Report: {outcome.report}", markup=False, highlight=False, soft_wrap=True)
    if outcome.interrupted:
        again = [argument for argument in sys.argv[1:] if argument not in ("--resume", "--overwrite")]
        return _say(f"Interrupted. Go on with: costlayer {shlex.join(again)} --resume", 128 + outcome.interrupted)
    return 0


@_command
def choose(data: _Data, target: _Target = None, kind: _Kind = None) -> None:
    """Say which pair fits a target, why, what else would do, and what to avoid.

    Example:

        costlayer choose houses.csv --target price
    """
    from costlayer.study.table import advise, read_table

    print(advise(read_table(data, target), kind))


@_command
def explain(
    pair: Annotated[str, typer.Argument(metavar="PAIR", help="Such as sigmoid+mse or identity+huber:delta=2.")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the picture as a page.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the picture as an image.")] = None,
) -> None:
    """Show one pair: formula, derivative, and how much of an error comes back from each score.

    Examples:

        costlayer explain sigmoid+mse

        costlayer explain sigmoid+cross_entropy --png pair.png
    """
    from costlayer import explain
    from costlayer.catalogue import read_pair

    found = read_pair(pair)
    made = [(html, lambda: explain.html(found).encode()), (png, lambda: explain.png(found))]
    wanted = [(file, make) for file, make in made if file is not None]
    if not wanted:
        print(explain.text(found))
    for file, make in wanted:
        from costlayer.files import write_whole

        write_whole(file, make())
        print(f"Written: {file}")


@_command
def pairs() -> None:
    """List the catalogue."""
    import costlayer as cl

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    listed = sorted(cl.pairs(), key=lambda pair: pair.starves)
    table.add_column("pair", no_wrap=True, min_width=max(len(pair.name) for pair in listed))  # to be copied
    table.add_column("target", no_wrap=True)
    table.add_column("δ, when further off", no_wrap=True)
    for pair in listed:
        steady = "never less" if pair.steady else "less at times"
        gradient = f"the error: {pair.canonical_form}" if pair.canonical else steady
        if pair.starves:
            better = pair.instead.partition(",")[0].partition(" for ")[0].partition(" with ")[0]
            gradient = f"use {better}"
        targets = "class" if pair.cost.labels_only else "class, shares" if pair.row else str(pair.target)
        table.add_row(pair.name, targets, gradient)
    console = Console()
    console.print(table, markup=False)
    console.print(
        "Where it says “use”, next to no gradient is left when the output is wrong. costlayer explain PAIR shows one.",
        markup=False,
        highlight=False,
    )


@_command
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that costlayer study wrote.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="The rows to predict.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="CSV, TSV, Parquet, Arrow or NDJSON; else CSV to stdout."),
    ] = None,
) -> None:
    """Apply a run's best network to new rows: class names and probabilities, or values.

    Example:

        costlayer predict runs/houses new.csv -o prices.csv
    """
    from costlayer.study.predict import predict as apply

    predictions = apply(run, data, output, note=lambda line: print(line, file=sys.stderr))
    if output is not None:
        print(f"{predictions.height:,} predictions: {output}", file=sys.stderr)


@_command
def warmup(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PAIR]…", help="Pairs to compile; else all.")] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE", help="float32 (the default), float64, bfloat16 or float16; again for more."),
    ] = None,
) -> int:
    """Compile pairs beforehand, so that no program waits for the compiler.

    Example: `costlayer warmup softmax+cross_entropy identity+huber --dtype float32 --dtype bfloat16`
    """
    import time
    import warnings

    from rich.progress import Progress

    import costlayer as cl
    from costlayer.catalogue import read_pair
    from costlayer.engines.cpu import cache_folder
    from costlayer.warmup import DTYPES, warm_up

    chosen = [read_pair(name) for name in names] if names else cl.pairs()
    kinds = dtype or ["float32"]
    for kind in kinds:
        if kind not in DTYPES:
            raise InvalidValue("--dtype", repr(kind), "one of " + ", ".join(DTYPES), nearest(kind, DTYPES))
    console = Console(stderr=True)
    with warnings.catch_warnings(), Progress(console=console) as progress:
        warnings.simplefilter("error", CacheWarning)  # where nothing can be kept, there is nothing to do
        bar = progress.add_task("compiling", total=len(chosen) * len(kinds))
        for pair in chosen:
            for kind in kinds:
                progress.update(bar, description=f"{pair}, {kind}")
                start = time.perf_counter()
                try:
                    warm_up(pair, kind)
                except CacheWarning as warning:
                    return _say(f"costlayer: {warning}", 2)
                progress.advance(bar)
                print(f"{pair} {kind} {time.perf_counter() - start:.2f} s", flush=True)
    return _say(f"In {cache_folder()}", 0)


@_command
def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Benchmarks to run; else all.")] = None,
) -> int:
    """Run the benchmarks of a checkout, each in benchmarks/."""
    import subprocess

    folder = Path("benchmarks")
    known = {path.stem: path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")}
    if not known:
        raise InvalidValue(
            "bench", f"no scripts in {str(folder.resolve())!r}", "a checkout of costlayer", "Run it in the checkout."
        )
    for name in names or ():
        if name not in known:
            raise InvalidValue("bench", repr(name), "the name of a benchmark", nearest(name, known))
    failed = []
    for name in names or known:
        # in a process of its own, as if it had been called by itself
        running = subprocess.Popen([sys.executable, str(known[name])])
        try:
            code = running.wait()
        except KeyboardInterrupt:
            running.wait()  # Ctrl-C reached it too, and it keeps what it has measured
            raise
        failed += [name] if code else []
    return _say(f"Failed: {', '.join(failed)}.", 1) if failed else 0


class _Quiet:
    """In place of a status line where there is no terminal."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _unsaid(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is None or source.name == "DEFAULT"


def _widths(text: str) -> tuple[int, ...]:
    try:
        return () if text.strip().lower() in ("", "none") else tuple(int(width) for width in text.split(","))
    except ValueError:
        raise InvalidValue(
            "--hidden", repr(text), "whole numbers with commas between, or none", "As in 128,64."
        ) from None


def _ranking(outcome: Any) -> Table:
    """The verdict as a table, best pair first."""
    from costlayer.study.progress import figure

    found, records = outcome.verdict, outcome.records
    finals = [r for r in records if r["record"] == "final"]
    second = "log_loss" if found["metric"] in ("accuracy", "macro_f1") else "r2"
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("pair", no_wrap=True)
    for head in (found["metric"], second, "rate", "epochs", "starved"):
        table.add_column(head.replace("_", " "), justify="right", no_wrap=True)
    for place, entry in enumerate(found["ranking"]):
        pair = entry["pair"]
        own = [r for r in finals if r["pair"] == pair]
        spread = "" if entry["spread"] is None else f" ± {entry['spread']:.2g}"
        epochs, starved = found["speed"]["epochs"][pair], found["starved"][pair]
        table.add_row(
            pair + (" *" if pair == found["advised"] else ""),
            figure(entry["mean"]) + spread,
            figure(_mean([r["metrics"][second] for r in own])),
            f"{own[0]['learning_rate']:g}",
            "–" if epochs is None else f"{epochs:.1f}",
            "–" if starved is None else f"{starved:.1%}",
            style="bold" if place == 0 else "",
        )
    metric = found["metric"].replace("_", " ")
    table.caption = (
        f"Test rows, mean ± spread of the seeds; * advised. Epochs: to a validation {metric} of "
        f"{figure(found['speed']['level'])}, nine tenths of the way. Starved: of the outputs wrong by more than half, "
        "those that send back less than a hundredth of their error."
    )
    table.caption_justify = "left"
    return table


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
