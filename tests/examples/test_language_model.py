"""The example of a language model: torch's losses, the same ones after a stop; a page that says what was measured."""

import json
import math
import re
import signal
import subprocess
import sys
from pathlib import Path

import language_model as example
import pytest
import torch

ROOT = Path(__file__).parents[2]
SMALL = ["--vocabulary=120", "--width=32", "--layers=1", "--context=8", "--batch=4", "--threads=1"]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Some of the text that comes with Python."""
    from pydoc_data.topics import topics

    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("\n\n".join(topics[name] for name in ("assignment", "for", "if", "while", "with")))
    return file


@pytest.fixture
def command(text, tmp_path):
    def command(*arguments):
        said = [f"--text={text}", f"--out={tmp_path / 'out'}", *SMALL, *arguments]
        return [sys.executable, str(ROOT / "examples" / "language_model.py"), *said]

    return command


def _run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


def _losses(out):
    found = json.loads((out / "language_model.json").read_text(encoding="utf-8"))
    return {name: side["loss"] for name, side in found["sides"].items()}


def test_both_have_the_same_losses_and_all_is_shown(command, tmp_path):
    done = _run(command("--steps=4"))
    assert not done.returncode, done.stderr
    losses = _losses(tmp_path / "out")
    assert len(losses["costlayer"]) == 4
    assert losses["costlayer"] == pytest.approx(losses["torch"], rel=1e-5)
    assert losses["costlayer"][0] == pytest.approx(math.log(120), rel=0.1)
    assert losses["costlayer"][-1] < losses["costlayer"][0]
    assert re.search(r"step 4/4 +costlayer: loss [\d.]+, held out [\d.]+, [\d,]+ words/s +torch: loss", done.stdout)
    assert (tmp_path / "out" / "language_model.png").read_bytes().startswith(b"\x89PNG")
    refused = _run(command("--steps=5"))
    assert refused.returncode
    assert "is of --steps 4" in refused.stderr


def test_ctrl_c_leaves_what_the_same_command_goes_on_from(command, tmp_path):
    stopped = subprocess.Popen(command("--steps=400"), stdout=subprocess.PIPE, text=True)
    assert stopped.stdout is not None
    assert "step 50/400" in stopped.stdout.readline()
    stopped.send_signal(signal.SIGINT)
    stopped.communicate(timeout=300)
    assert stopped.returncode == 130
    kept = torch.load(tmp_path / "out" / "costlayer.pt", weights_only=True)["record"]["loss"]
    assert 50 <= len(kept) < 400
    done = _run(command("--steps=400"))
    assert not done.returncode, done.stderr
    losses = _losses(tmp_path / "out")
    assert [len(each) for each in losses.values()] == [400, 400]
    assert losses["costlayer"][: len(kept)] == kept


def _training(folder, text, side):
    folder.mkdir(exist_ok=True)
    settings = {"steps": 6, "vocabulary": 120, "width": 32, "layers": 1, "context": 8, "batch": 4, "threads": 1}
    example.begin({**settings, "text": str(text)}, folder)
    return example.Training(side, folder)


@pytest.mark.parametrize("side", example.SIDES)
def test_a_training_that_was_stopped_is_one_that_was_not(text, tmp_path, side):
    whole = _training(tmp_path / "whole", text, side)
    part = _training(tmp_path / "parts", text, side)
    for _ in range(6):
        whole.step()
    for _ in range(3):
        part.step()
    part.save()
    part = _training(tmp_path / "parts", text, side)
    part.alone()  # measuring in between changes nothing
    for _ in range(3):
        part.step()
    assert part.record["loss"] == whole.record["loss"]
    assert all(torch.equal(a, b) for a, b in zip(part.parameters, whole.parameters, strict=True))
    assert part.head.weight is part.model.embedding.weight


def test_words_make_the_text_again():
    text = 'A "small" model.\n\nOf two paragraphs (2): it\'s ok'
    assert "".join(example.words(text)).strip() == text


def test_help_answers():
    done = _run([sys.executable, str(ROOT / "examples" / "language_model.py"), "--help"])
    assert "--vocabulary" in done.stdout


def test_the_page_says_what_was_measured():
    found = json.loads((ROOT / "benchmarks" / "results" / "language_model.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "language_model.md").read_text(encoding="utf-8")
    assert example.table(found) in page
    assert found["sample"] in page.replace("\n> ", "\n").replace("\n>\n", "\n\n")
