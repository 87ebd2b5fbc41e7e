"""Every method by name. Adding one: its file, a line in ``LOSSES``, its test file."""

from repro.errors import choose
from repro.losses.ce import CE
from repro.losses.cmkd import CMKD
from repro.losses.dist import DIST
from repro.losses.dkd import DKD
from repro.losses.kd import KD
from repro.losses.protocol import Loss
from repro.losses.soft_rank import L2Rank, SigmoidRank
from repro.losses.standardized import Standardized, standardize

LOSSES: dict[str, type[Loss]] = {
    "ce": CE,
    "kd": KD,
    "dkd": DKD,
    "dist": DIST,
    "cmkd": CMKD,
}
TYPES: tuple[type, ...] = (*LOSSES.values(), Standardized, SigmoidRank, L2Rank)  # of recorded runs

STANDARDIZED = "+ls"  # a method's suffix: on standardised logits
METHODS = (*LOSSES, *(f"{m}{STANDARDIZED}" for m in LOSSES if m != "ce"))  # ce has no teacher


def named(method: str) -> Loss:
    """The default loss of a method: "kd", "kd+ls". Raises UserError for unknown names."""
    if method not in METHODS:
        raise choose("method", method, METHODS)
    loss = LOSSES[method.removesuffix(STANDARDIZED)]()
    return standardize(loss) if method.endswith(STANDARDIZED) else loss


def method_name(loss: Loss) -> str:
    """The inverse of ``named``, for a loss with any hyper-parameters."""
    if isinstance(loss, Standardized):
        return method_name(loss.loss) + STANDARDIZED
    for name, cls in LOSSES.items():
        if type(loss) is cls:
            return name
    raise choose("loss", type(loss).__name__, LOSSES)
