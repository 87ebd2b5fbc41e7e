"""The list of departures: one, wherever it is shown."""

from pathlib import Path

from repro.departures import DEPARTURES

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_has_the_same_list() -> None:
    text = README.read_text().partition("\nDepartures, ")[2].partition("\n## ")[0]
    items = text.partition("\n\n")[2].strip().removeprefix("- ").split("\n- ")
    assert tuple(" ".join(item.split()) for item in items) == DEPARTURES
