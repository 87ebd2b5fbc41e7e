"""The figures of a grid, each with what it shows."""

from pathlib import Path

from repro.environment import ROOT
from repro.errors import UserError
from repro.manifest import listed
from repro.report.commands import command
from repro.report.html import element, paragraphs, picture
from repro.results import GridResults

# By the start of a file's name: what one sees. The rest of the name says of what.
CAPTIONS = {
    "ablation": "CMKD's open choices, each varied alone: difference in top-1 to our reading",
    "decision-numbers": "Fragmentation, ambiguity, agreement with the teacher and margin of "
    "decision regions, on the same planes for every network",
    "decision-regions": "Decision regions of the teacher and its students on the same planes "
    "through three test images; strength of colour is the predicted class's probability",
    "dynamic-weights": "CMKD's weights of its two terms by epoch, and the difficulty of images",
    "embedding": "t-SNE of the features of test images, coloured by class, with the accuracy of "
    "nearest neighbours in the features themselves",
    "inter-class-correlation": "Distance of each student's inter-class relations to the "
    "teacher's, class by class, in four definitions",
    "loss-landscape": "Loss of training images around the finished weights, in two random "
    "directions",
    "forest": "Paired differences of methods with their 95 % intervals",
    "rank-agreement": "Agreement of students with the teacher on the order of the classes, by the "
    "difficulty of the image",
    "robustness": "Top-1 on corrupted and on attacked test images by strength",
    "teacher-strength": "Students' top-1 over their teacher's",
    "training-curves": "Accuracy and loss on test images by epoch, trials and their mean",
}


def figures(results: GridResults) -> str:
    """Every figure that was drawn of these results; which are older than the newest run is said."""
    drawn = listed(results.out(ROOT / "figures"), results, ".png")
    again = f"`{command('figures', results)}`"
    if not drawn:
        words = (
            f"{results.grid}: no figures of these runs yet; {again} draws them, then `make report`."
        )
        return paragraphs([words])
    old = [path.stem for path in drawn if path.stat().st_mtime * 1000 < newest_ms(results)]
    note = f"{results.grid}: older than the newest run: {', '.join(old)}; {again} draws them anew"
    parts = [element("div", paragraphs([note]), class_="mark")] if old else []
    return "".join([*parts, *(_figure(results.grid, path) for path in drawn)])


def newest_ms(results: GridResults) -> int:
    """When the last of the finished runs ended."""
    times = []
    for run in results.runs:
        try:
            status = results.record(run).status()
        except UserError:  # `repro doctor` tells of it
            continue
        times.append(status.ended_ms or 0 if status else 0)
    return max(times, default=0)


def _figure(grid: str, path: Path) -> str:
    kinds = [kind for kind in CAPTIONS if path.stem.startswith(kind)]
    shown = words(path.stem)
    if kinds:
        kind = max(kinds, key=len)
        shown = f"{CAPTIONS[kind]} ({path.stem.removeprefix(kind).strip('-') or grid})"
    place = path.with_suffix("").as_posix().rpartition("figures/out/")[2]
    where = f"`figures/out/{place}`: its numbers as .csv, for print as .pdf"
    return picture(path, f"{grid}: {shown}", where)


def words(stem: str) -> str:
    return stem.replace("-", " ").replace("_", " ")
