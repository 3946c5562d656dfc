"""Real data that the product does not bundle, written as files, offline, from packages that carry it.

Each function takes a folder and gives the path of the file it wrote; the same packages give the same file.
"""

import csv
import gzip
import re
import sysconfig
import unicodedata
from pathlib import Path

import plotly
import polars as pl
import sklearn


def penguins(folder: Path) -> Path:
    """Body mass of 344 penguins of Palmer archipelago (g), from species, island, sex and three lengths: a regression
    with categories and, as they were published, missing values: 10 of sex, 2 of everything measured, body mass
    included. From the tests of scikit-learn. Target: body_mass_g."""
    frame = _arff("id_42585/data-v1-dl-21854866")
    return _write(folder, "penguins.csv", frame, pl.DataFrame.write_csv)


def titanic(folder: Path) -> Path:
    """The 1309 passengers of the Titanic, from class, sex, age, family, fare and the port they boarded at: two classes,
    missing values, columns of text that name rows. Lifeboat and body number, known only afterwards, are left out. From
    the tests of scikit-learn. Target: survived."""
    frame = _arff("id_40945/data-v1-dl-16826755").drop("boat", "body")
    return _write(folder, "titanic.csv", frame, pl.DataFrame.write_csv)


def modules(folder: Path) -> Path:
    """How many functions each file of Python's own library defines, from its package and what else is counted in it:
    a count, with zeros and a long tail. About 700 rows. Target: functions."""
    library = Path(sysconfig.get_paths()["stdlib"])
    words = ("class", "import", "return", "raise", "for", "if", "while", "try", "with", "yield")
    rows = []
    for path in sorted(library.rglob("*.py")):
        place = path.relative_to(library).parts
        if "site-packages" in place or place[0] in ("test", "idlelib", "lib2to3", "turtledemo"):
            continue
        text = path.read_text("utf-8", errors="replace")
        lines = text.splitlines()
        rows.append(
            {
                "package": place[0] if len(place) > 1 else "(none)",
                "private": path.name.startswith("_"),
                "lines": len(lines),
                "mean_width": len(text) / len(lines) if lines else None,
                **{word: len(re.findall(rf"^\s*{word}\b", text, re.MULTILINE)) for word in words},
                "functions": len(re.findall(r"^\s*(?:async\s+)?def\b", text, re.MULTILINE)),
            }
        )
    return _write(folder, "modules.parquet", pl.DataFrame(rows), pl.DataFrame.write_parquet)


def characters(folder: Path) -> Path:
    """The general category of characters, from their other Unicode properties: some 25 classes of very unequal size,
    most columns categories. Every third character of the basic plane but for ideographs and Hangul, about 5500 rows.
    From the Unicode database in Python. Target: category."""
    rows = []
    for code in range(0, 0x10000, 3):
        character = chr(code)
        category = unicodedata.category(character)
        if 0x3400 <= code <= 0x9FFF or 0xAC00 <= code <= 0xF8FF or category in ("Cn", "Cs", "Co"):
            continue
        compatibility = re.match("<(.*?)>", unicodedata.decomposition(character))
        rows.append(
            {
                "code": code,
                "direction": unicodedata.bidirectional(character),
                "width": unicodedata.east_asian_width(character),
                "combining": unicodedata.combining(character),
                "mirrored": bool(unicodedata.mirrored(character)),
                "compatibility": compatibility and compatibility[1],
                "digit": unicodedata.digit(character, None),
                "has_upper": character.upper() != character,
                "has_lower": character.lower() != character,
                "first_word": unicodedata.name(character, "").partition(" ")[0] or None,
                "category": category,
            }
        )
    return _write(
        folder, "characters.tsv", pl.DataFrame(rows), lambda frame, path: frame.write_csv(path, separator="\t")
    )


def continents(folder: Path) -> Path:
    """The continent of 142 countries from the longitude and latitude of their middle: two features only, five classes,
    for decision regions. Gapminder, from plotly. Target: continent."""
    source = Path(plotly.__file__).parent / "package_data" / "datasets" / "gapminder.csv.gz"
    frame = pl.read_csv(source).filter(pl.col("year") == 2007).select("centroid_lon", "centroid_lat", "continent")
    return _write(folder, "continents.ndjson", frame, pl.DataFrame.write_ndjson)


TARGETS = {
    penguins: "body_mass_g",
    titanic: "survived",
    modules: "functions",
    characters: "category",
    continents: "continent",
}
"""The column to predict in each."""


def _arff(name: str) -> pl.DataFrame:
    path = Path(sklearn.__file__).parent / "datasets" / "tests" / "data" / "openml" / f"{name}.arff.gz"
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    head = [line.split() for line in lines if line.lower().startswith("@attribute")]
    start = next(place for place, line in enumerate(lines) if line.lower().startswith("@data")) + 1
    rows = csv.reader(line for line in lines[start:] if line.strip() and not line.startswith("%"))
    names = [words[1].strip("'") for words in head]
    values = [[None if value in ("?", "_") else value for value in row] for row in rows]
    frame = pl.DataFrame(values, schema=dict.fromkeys(names, pl.String), orient="row")
    numbers = [words[1].strip("'") for words in head if words[2].lower() in ("numeric", "real")]
    return frame.with_columns(pl.col(numbers).cast(pl.Float64))


def _write(folder: Path, name: str, frame: pl.DataFrame, write) -> Path:
    write(frame, folder / name)
    return folder / name
