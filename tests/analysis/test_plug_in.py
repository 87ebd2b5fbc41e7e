"""The plug-in table: methods alone, with CMKD's terms, and with DIST's as the control."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from repro.analysis.plug_in import plug_in_files, plug_in_table, wide
from repro.grid import PLUGGED_IN, Choice, expand
from tests.analysis.read_latex import rows_of
from tests.made_results import DEMO, finished, results_of

ROOT = Path(__file__).resolve().parents[2]
PAIR = "resnet14:resnet8"


def made(**top1: list[float]) -> pd.DataFrame:
    """Finished runs of one pair; a trial is left out where its value is NaN."""
    rows = [
        {
            "key": f"{method}{trial}",
            "pair": PAIR,
            "method": method,
            "trial": trial,
            "top1_last10": v,
        }
        for method, values in top1.items()
        for trial, v in enumerate(values)
        if not np.isnan(v)
    ]
    return pd.DataFrame(rows)


def test_a_row_holds_both_means_the_gain_and_its_runs() -> None:
    results = made(kd=[70.0, 70.4], **{"kd+cmkd": [71.0, 71.6], "kd+dist": [70.5]})
    methods = ["kd", "kd+cmkd", "kd+dist", "dkd", "dkd+cmkd", "dkd+dist"]
    table = plug_in_table(results, [PAIR], methods, PLUGGED_IN)
    assert list(zip(table["method"], table["plug_in"], strict=True)) == [
        *(("kd", "cmkd"), ("dkd", "cmkd")),
        *(("kd", "dist"), ("dkd", "dist")),
    ]
    first = table.iloc[0]
    assert (first["alone"], first["with"], first["gain"]) == pytest.approx((70.2, 71.3, 1.1))
    assert first["keys_with"] == ("kd+cmkd0", "kd+cmkd1")
    rows = wide(table)
    assert rows["alone"].tolist() == ["70.20 ± 0.28 (2)", "-"]
    assert rows["+ dist"].tolist() == ["70.50 (1)", "-"]
    assert rows["gain of dist"].tolist() == ["+0.50 (1)", "-"]
    assert rows["gain of cmkd"][0].startswith("+1.10 [")


def test_the_script_writes_the_table_of_its_grid_alone(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("plug_in", ROOT / "paper_tables/plug_in.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    runs = expand("plug-in", DEMO, Choice(methods=("kd",), trials=2))
    files = script.write(results_of("plug-in", DEMO, finished(*runs)), tmp_path)
    assert [path.name for path in files] == [
        f"plug_in{s}" for s in (".md", ".tex", ".html", ".csv")
    ]
    rows_of((tmp_path / "plug_in.tex").read_text())
    text = (tmp_path / "plug_in.md").read_text()
    assert "Profile demo, not the paper's protocol" in text
    assert "crd" in text  # not trained: a row of "-", not left out
    demo = expand("demo", DEMO, Choice(trials=1))
    assert script.write(results_of("demo", DEMO, finished(*demo)), tmp_path) == []


def test_latex_and_csv_hold_the_same_numbers() -> None:
    results = made(kd=[70.0, 70.4], **{"kd+cmkd": [71.0, 71.6]})
    table = plug_in_table(results, [PAIR], ["kd", "kd+cmkd"], PLUGGED_IN)
    files = plug_in_files(table, "Plug-ins", ["mark"])
    assert all("71.3" in text for text in files.values())
    assert all("mark" in text for text in files.values())


def test_each_plug_in_is_a_family_over_the_methods_of_a_pair() -> None:
    gains = {"kd": [1.0, 1.2, 0.8], "dkd": [0.3, -0.2, 0.1], "dist": [0.0, 0.1, 0.2]}
    alone = {"kd": [70.0, 70.4, 70.1], "dkd": [71.0, 71.3, 70.9], "dist": [72.0, 72.1, 71.8]}
    both = {f"{m}+cmkd": list(np.add(alone[m], gains[m])) for m in alone}
    names = [*alone, *both, "crd", "crd+cmkd"]
    table = plug_in_table(made(**alone, **both), [PAIR], names, ["cmkd"]).set_index("method")
    assert table["gain"].tolist() == pytest.approx([1.0, 0.2 / 3, 0.1, np.nan], nan_ok=True)
    assert set(table["family"]) == {4}  # crd, which is not finished, counts as well
    raw = table["p"].dropna().sort_values()
    steps = np.maximum.accumulate(raw * [4, 3, 2]).clip(upper=1)
    assert table["p_holm"][raw.index].tolist() == pytest.approx(steps.tolist())
    assert table["verdict"]["kd"] == "supported"
    assert table["verdict"]["crd"] == "not run"
    assert wide(table.reset_index())["cmkd: verdict (p)"].iloc[3] == "not run (-)"
