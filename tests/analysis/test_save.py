from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.save import file_name, save_figure, trials_shown

FRAME = pd.DataFrame({"x": [1, 2], "words": [("a", "b"), "c"]})


def test_a_figure_comes_as_pdf_and_png_with_its_csv(tmp_path: Path) -> None:
    figure = Figure()
    paths = save_figure(figure, FRAME, tmp_path / "a.b", ("mark",), csv_notes=("note",))
    assert [path.name for path in paths] == ["a.b.pdf", "a.b.png", "a.b.csv"]
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert paths[2].read_text().splitlines() == ["# note", "# mark", "x,words", "1,a b", "2,c"]
    assert [text.get_text() for text in figure.texts] == ["mark"]


def test_the_trials_shown_are_one_word_only_where_they_agree() -> None:
    assert trials_shown({"teacher": 0, "kd": 0}) == "trial 0"
    assert trials_shown({"kd": 1}) == "trial 1"
    assert trials_shown({"teacher": 0, "kd": 1}) == "trials: teacher 0, kd 1"


def test_a_pair_as_part_of_a_file_name() -> None:
    assert file_name("resnet56:resnet20") == "resnet56-resnet20"
