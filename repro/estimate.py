"""How long cohorts take, from what was recorded on this machine."""

from statistics import median

import torch

from repro.data.sizes import images_of
from repro.environment import device_name
from repro.models import count_macs
from repro.plan import Cohort, epoch_macs, epochs_left
from repro.records import Records

# Where no epoch was recorded on this machine yet: multiply-accumulates a second.
ASSUMED_SPEED = {"cpu": 1.2e11, "cuda": 5e12}  # measured on 2 cores; the GPU's is a guess
ESTIMATE_RECORDS = 50  # the speed is a median over the newest so many records


def estimate_seconds(cohort: Cohort, speed: float) -> float:
    images, evaluated = images_of(cohort.runs[0].stream)
    return epochs_left(cohort) * epoch_macs(cohort, count_macs, images, evaluated) / speed


def machine_speed(records: Records, device: torch.device) -> float | None:
    """Multiply-accumulates a second as recorded on this device; None if nothing was."""
    name = device_name(device)
    found = []
    for record in sorted(records, key=lambda r: r.directory.stat().st_mtime)[-ESTIMATE_RECORDS:]:
        environment, history = record.read_json("environment.json") or {}, record.history()
        if environment.get("device") == name and history and "macs_per_second" in history[-1]:
            found.append(history[-1]["macs_per_second"])
    return median(found) if found else None


def clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
