"""The examples of the page on boosting run, and its table is what the tests hold the trees to."""

import doctest
import re
from pathlib import Path

import pytest
import test_catboost
import test_lightgbm
import test_xgboost

PAGE = (Path(__file__).parents[2] / "docs" / "boosting.md").read_text(encoding="utf-8")


def test_examples_run():
    pytest.importorskip("sklearn")
    tests = doctest.DocTestParser().get_doctest(PAGE, {}, "docs/boosting.md", None, None)
    assert len(tests.examples) > 20
    assert not doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(tests).failed


@pytest.mark.parametrize(("column", "module"), [(1, test_xgboost), (2, test_lightgbm), (3, test_catboost)])
def test_table_names_the_objectives_that_are_compared(column, module):
    rows = [
        line.split("|")[1:-1] for line in PAGE.splitlines() if re.match(r"\| (identity|sigmoid|softmax|exp)\+", line)
    ]
    said = {(row[0].strip(), each) for row in rows for each in re.findall(r"`([^`]*)`", row[column])}
    tested = {
        (
            name,
            (theirs if isinstance(theirs, str) else theirs["objective"]).partition(":alpha")[0].partition(":delta")[0],
        )
        for name, _, theirs, *_ in module.BUILT_IN
    }
    tested = {(name, theirs.partition(":variance")[0]) for name, theirs in tested}
    if module is test_catboost:
        tested.add(("identity+mae", "MAE"))
    assert said == tested
