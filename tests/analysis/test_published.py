import csv

import pandas as pd
import pytest

from repro.analysis.published import (
    COLUMNS,
    ORIGINAL_SOURCES,
    PUBLISHED_METHODS,
    load_published,
    published_for,
)
from repro.errors import UserError
from tests.analysis.conftest import PUBLISHED

GOOD = {
    **dict.fromkeys(COLUMNS, ""),
    **{"dataset": "cifar100", "teacher": "vgg13", "student": "vgg8", "method": "KD"},
    **{"top1": "72.98", "epoch_reported": "last", "recipe": "standard"},
    **{"source": "a repository", "place": "README"},
}


def write(path, *rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(GOOD | row for row in rows)
    return path


def test_the_file_has_1140_rows_of_which_the_copied_ones_are_left_out(published):
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1140
    copied = sum(bool(row["copied_from"]) for row in rows)
    assert copied == 175
    assert len(published) == 1140 - copied
    assert set(published["copied_from"]) == {""}


def test_empty_numbers_are_nan_and_empty_texts_stay_texts(tmp_path):
    frame = load_published(write(tmp_path / "published.csv", {}))
    assert frame["std"].isna().all()
    assert list(frame["note"]) == [""]
    assert list(frame["top1"]) == [72.98]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"top1": "7x.3"}, "line 3, column top1: '7x.3' is not a number"),
        ({"top1": ""}, "line 3, column top1: is empty"),
        ({"top1": "172"}, "line 3, column top1: '172' is not a number from 0 to 100"),
        ({"top1": "nan"}, "line 3, column top1: 'nan' is not a number from 0 to 100"),
        ({"std": "-0.1"}, "line 3, column std: '-0.1' is not"),
        ({"n_runs": "2.5"}, "line 3, column n_runs: '2.5' is not a whole number"),
        ({"epoch_reported": "final"}, "line 3, column epoch_reported: 'final'; known: last, best"),
        ({"source": ""}, "line 3, column source: is empty"),
        ({"teacher": "", "student": ""}, "line 3, columns teacher and student: both are empty"),
    ],
)
def test_a_malformed_entry_names_its_line_and_column(tmp_path, entry, message):
    with pytest.raises(UserError, match=message):
        load_published(write(tmp_path / "published.csv", {}, entry))


def test_a_wrong_number_of_fields_or_other_columns_are_errors(tmp_path):
    path = write(tmp_path / "published.csv", {})
    path.write_text(path.read_text() + "cifar100,vgg13,vgg8\n")
    with pytest.raises(UserError, match="line 3: 3 fields, expected 14"):
        load_published(path)
    path.write_text("dataset,teacher\ncifar100,vgg13\n")
    with pytest.raises(UserError, match="line 1: columns"):
        load_published(path)


@pytest.mark.parametrize(
    ("pair", "method", "top1", "epoch", "source"),
    [
        ("resnet56", "teacher", 72.34, "last", "HobbitLong/RepDistiller"),
        ("resnet56:resnet20", "teacher", 72.34, "last", "HobbitLong/RepDistiller"),
        ("resnet56:resnet20", "ce", 69.06, "last", "HobbitLong/RepDistiller"),
        ("resnet32x4:resnet8x4", "kd", 73.33, "last", "HobbitLong/RepDistiller"),
        ("resnet32x4:resnet8x4", "dkd", 76.32, "best", "megvii-research/mdistiller"),
        ("resnet32x4:resnet8x4", "dist", 76.31, "unknown", "hunto/DIST_KD"),
        ("wrn_40_2:wrn_40_1", "dist", 74.43, "unknown", "hunto/DIST_KD"),
        ("vgg13:vgg8", "dist", 73.89, "unknown", "arXiv:2402.11148 (TTM paper)"),
        ("resnet32x4:resnet8x4", "kd+ls", 76.62, "best", "arXiv:2403.01427 (LSKD paper)"),
    ],
)
def test_the_chosen_row(published, pair, method, top1, epoch, source):
    chosen = published_for(published, pair, method).iloc[0]
    assert (chosen["top1"], chosen["epoch_reported"], chosen["source"]) == (top1, epoch, source)


def test_the_rule_prefers_stated_epoch_then_source_then_stated_then_more_runs(tmp_path):
    mdistiller = "megvii-research/mdistiller"
    rows = [  # worst first
        {"place": "6", "epoch_reported": "unknown", "n_runs": "10", "source": mdistiller},
        {"place": "5"},
        {"place": "4", "n_runs": "9"},
        {"place": "3", "source": mdistiller},
        {"place": "2", "n_runs": "3", "source": mdistiller},
        {"place": "1", "n_runs": "5", "source": mdistiller},
    ]
    path = write(tmp_path / "p.csv", *({"method": "DKD"} | row for row in rows))
    found = published_for(load_published(path), "vgg13:vgg8", "dkd")
    assert list(found["place"]) == ["1", "2", "3", "4", "5", "6"]


def test_rows_of_other_recipes_and_pairs_do_not_count(tmp_path):
    path = write(tmp_path / "p.csv", {"recipe": "pld"}, {"student": "vgg11"}, {"method": "KD+LS"})
    assert published_for(load_published(path), "vgg13:vgg8", "kd").empty


@pytest.mark.parametrize("method", ["cmkd", "cmkd/pearson only", "something new"])
def test_methods_without_published_rows_get_an_empty_frame(published, method):
    found = published_for(published, "resnet56:resnet20", method)
    assert isinstance(found, pd.DataFrame)
    assert found.empty


def test_every_named_method_and_source_occurs_in_the_file(published):
    assert set(PUBLISHED_METHODS.values()) - set(published["method"]) == {"CMKD"}
    assert set(ORIGINAL_SOURCES) <= set(PUBLISHED_METHODS.values())
    named = {source for sources in ORIGINAL_SOURCES.values() for source in sources}
    assert named <= set(published["source"])
