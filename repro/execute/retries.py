"""How often a cohort is begun again after its worker died."""

from collections import Counter
from dataclasses import dataclass, field

from repro.plan import Cohort
from repro.spec import key

MOST = 2  # retries a cohort


@dataclass
class Retries:
    """Deaths by run: a cohort may come back in parts, and its parts remember them."""

    deaths: Counter[str] = field(default_factory=Counter)

    def again(self, cohort: Cohort) -> bool:
        """Its worker has just died; may another one try?"""
        keys = [key(run) for run in cohort.runs]
        self.deaths.update(keys)
        return max(self.deaths[k] for k in keys) <= MOST
