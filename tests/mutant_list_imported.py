"""Faults to plant in what brings teachers from elsewhere."""

from mutant_list import Mutant  # beside this file

IMPORTED = (
    Mutant(
        "imported: a checkpoint may hold code",
        "repro/train/foreign.py",
        "weights_only=True",
        "weights_only=False",
        "tests/importing/test_refused.py -k code",
    ),
    Mutant(
        "imported: a bias passes for a weight",
        "repro/train/foreign.py",
        ' or mine.rpartition(".")[2] != other.rpartition(".")[2]',
        "",
        "tests/importing/test_refused.py -k fit",
    ),
    Mutant(
        "imported: the teacher of a distiller is taken",
        "repro/train/foreign.py",
        'STUDENT = "student."',
        'STUDENT = "teacher."',
        "tests/importing/test_layouts.py -k container",
    ),
    Mutant(
        "imported: a fraction is taken for percent",
        "repro/train/foreign.py",
        "value * 100 if value <= 1 else value",
        "value",
        "tests/importing/test_layouts.py -k claim",
    ),
    Mutant(
        "imported: statistics lose their precision",
        "repro/train/foreign.py",
        "isinstance(place, torch.nn.Parameter) else torch.float32",
        "isinstance(place, torch.Tensor) else torch.float32",
        "tests/importing/test_layouts.py -k stores",
    ),
    Mutant(
        "imported: a key does not know the shapes",
        "repro/train/weights.py",
        "{list(tensor.shape)}",
        "",
        "tests/importing/test_layouts.py -k keys",
    ),
    Mutant(
        "imported: a better network than expected is accepted",
        "repro/importing.py",
        "abs(top1 - expected.top1) <= TOLERANCE",
        "expected.top1 - top1 <= TOLERANCE",
        "tests/importing/test_accuracy.py -k farther",
    ),
    Mutant(
        "imported: chance is accepted",
        "repro/importing.py",
        "if top1 > least:",
        "if top1 >= 0:",
        "tests/importing/test_accuracy.py -k chance",
    ),
    Mutant(
        "imported: damaged weights are believed",
        "repro/imported.py",
        " or _found(record, run) != record.key",
        "",
        "tests/importing/test_taught.py -k damaged",
    ),
    Mutant(
        "imported: its students have the keys of others",
        "repro/spec.py",
        "return run.weights or ",
        "return ",
        "tests/importing/test_taught.py -k place",
    ),
    Mutant(
        "imported: a table does not say so",
        "repro/results.py",
        "[run for run in self.runs if run.weights]",
        "[]",
        "tests/importing/test_taught.py -k results",
    ),
)
