"""The table of corrupted and attacked images: means by hand, paired verdicts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from paper_tables import corruption
from repro.analysis.corruption import CORRUPTIONS, SEVERITIES
from repro.analysis.corruption_table import corruption_table, outcomes, shown
from tests.analysis.made_up import PROFILE, demo, made_up
from tests.analysis.read_latex import rows_of

PAIR = "t:s"
GOOD = {"kd": [60.0, 61.0, 60.5], "cmkd": [64.0, 65.1, 64.4], "dkd": [60.1, 60.9, 60.6]}


def cells(method: str, trial: int) -> dict[str, object]:
    pair = "t" if method == "teacher" else PAIR
    return {"pair": pair, "method": method, "trial": trial}


def corrupted(top1: dict[str, list[float]]) -> pd.DataFrame:
    """A corruption's number and the severity are taken off; clean is 20 above."""
    rows = []
    for method, values in top1.items():
        for trial, value in enumerate(values):
            rows.append(cells(method, trial) | {"corruption": "clean", "top1": value + 20})
            rows += [
                cells(method, trial) | {"corruption": name, "severity": s, "top1": value - i - s}
                for i, name in enumerate(CORRUPTIONS)
                for s in SEVERITIES
            ]
    return pd.DataFrame(rows).assign(images=50)


def attacked(top1: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            cells(method, trial) | {"radius": radius, "top1": value - radius}
            for method, values in top1.items()
            for trial, value in enumerate(values)
            for radius in (0, 1, 2.0)
        ]
    )


@pytest.fixture
def table() -> pd.DataFrame:
    top1 = {"teacher": [70.0], **GOOD}
    return corruption_table(outcomes(corrupted(top1), attacked(top1)))


def test_outcomes_are_means_over_severities_and_types(table) -> None:
    rows = table.set_index(["method", "outcome"])
    names = ["clean", "corrupted", "drop", *CORRUPTIONS, "pgd 1/255", "pgd 2/255"]
    assert list(dict.fromkeys(table["outcome"])) == names
    mean = np.mean(GOOD["kd"])
    assert rows.loc[("kd", "clean"), "mean"] == pytest.approx(mean + 20)
    assert rows.loc[("kd", "blur"), "mean"] == pytest.approx(mean - 1 - 3)
    assert rows.loc[("kd", "corrupted"), "mean"] == pytest.approx(mean - 2.5 - 3)
    assert rows.loc[("kd", "drop"), "mean"] == pytest.approx(20 + 2.5 + 3)
    assert rows.loc[("kd", "pgd 2/255"), "mean"] == pytest.approx(mean - 2)
    assert rows.loc[("kd", "corrupted"), "std"] == pytest.approx(np.std(GOOD["kd"], ddof=1))
    assert rows.loc[("teacher", "noise"), "n"] == 1


def test_cmkd_is_judged_against_the_pair_s_other_students(table) -> None:
    rows = table[table["outcome"] == "corrupted"].set_index("method")
    assert rows.loc["kd", "difference"] == pytest.approx(4.0)
    assert (rows.loc["kd", "verdict"], rows.loc["kd", "family"]) == ("supported", 2)
    assert rows["verdict"].isna().to_dict()["teacher"]
    assert rows["place"].to_dict() == {"teacher": "", "kd": "", "cmkd": "best", "dkd": ""}


def test_cells_are_read_in_words_with_their_places(table) -> None:
    words, places = shown(table)
    assert list(words["method"]) == ["teacher", "kd", "cmkd", "dkd"]
    row = words.set_index("method").loc["kd"]
    assert row["corrupted"] == "55.00 ± 0.50 (3)"
    assert row["cmkd less it"].startswith("+4.00 [")
    assert row["verdict (p)"].startswith("supported (")
    assert places[(2, list(words).index("corrupted"))] == "best"
    assert words.loc[2, "verdict (p)"] == "-"


def test_the_script_measures_and_writes_every_form(tmp_path: Path) -> None:
    files = corruption.write(made_up(tmp_path, *demo(("kd", "cmkd"))), tmp_path)
    assert [path.suffix for path in files] == [".md", ".tex", ".html", ".csv"]
    rows = rows_of(files[1].read_text())
    assert [row[1] for row in rows] == ["method", "teacher", "kd", "cmkd"]
    assert PROFILE.mark in files[0].read_text()
    assert "the same 14 test images" in files[0].read_text()
    assert corruption.write(made_up(tmp_path), tmp_path) == []
