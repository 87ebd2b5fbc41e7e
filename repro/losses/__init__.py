"""Every method by name. Adding one: its file, a line in ``LOSSES``, its test file."""

from repro.errors import UserError, choose
from repro.losses.at import AT
from repro.losses.catkd import CATKD
from repro.losses.cc import CC
from repro.losses.ce import CE
from repro.losses.cmkd import CMKD
from repro.losses.crd import CRD
from repro.losses.ctkd import CTKD
from repro.losses.dist import DIST
from repro.losses.dkd import DKD
from repro.losses.fitnet import FitNet
from repro.losses.kd import KD
from repro.losses.mlkd import MLKD
from repro.losses.nkd import NKD
from repro.losses.nst import NST
from repro.losses.ofd import OFD
from repro.losses.pkt import PKT
from repro.losses.pld import PLD
from repro.losses.protocol import Loss, uses_features
from repro.losses.reviewkd import ReviewKD
from repro.losses.rkd import RKD
from repro.losses.rkkd import RKKD
from repro.losses.simkd import SimKD
from repro.losses.soft_rank import L2Rank, SigmoidRank
from repro.losses.sp import SP
from repro.losses.standardized import Standardized, standardize
from repro.losses.sum import Sum
from repro.losses.ttm import TTM
from repro.losses.vid import VID
from repro.losses.wttm import WTTM

LOSSES: dict[str, type[Loss]] = {
    "ce": CE,
    "kd": KD,
    "dkd": DKD,
    "dist": DIST,
    "cmkd": CMKD,
    # logits
    "nkd": NKD,
    "ctkd": CTKD,
    "ttm": TTM,
    "wttm": WTTM,
    "mlkd": MLKD,
    "rkkd": RKKD,
    "pld": PLD,
    # features
    "fitnet": FitNet,
    "at": AT,
    "vid": VID,
    "nst": NST,
    "ofd": OFD,
    "reviewkd": ReviewKD,
    "simkd": SimKD,
    "catkd": CATKD,
    # relations
    "sp": SP,
    "cc": CC,
    "rkd": RKD,
    "pkt": PKT,
    "crd": CRD,
}
TYPES: tuple[type, ...] = (*LOSSES.values(), Standardized, Sum, SigmoidRank, L2Rank)  # in records

STANDARDIZED = "ls"  # "kd+ls": on standardised logits; "crd+cmkd": the sum of two losses
METHODS = (*LOSSES, f"kd+{STANDARDIZED}")  # under ``--methods all``: the last one is LSKD


def named(method: str) -> Loss:
    """The default loss of a method: "kd", "kd+ls", "crd+cmkd", "kd+ls+cmkd".

    Raises UserError for unknown names and for what makes no sense (``_check``).
    """
    words, losses = method.split("+"), list[Loss]()
    for word in words:
        if word in LOSSES:
            losses.append(LOSSES[word]())
        elif word == STANDARDIZED and losses and not isinstance(losses[-1], Standardized):
            losses[-1] = standardize(losses[-1])
        else:
            raise choose("method", method, (*METHODS, "<method>+ls", "<method>+<method>"))
    _check(method, words, losses)
    return Sum(losses=tuple(losses)) if len(losses) > 1 else losses[0]


def _check(method: str, words: list[str], losses: list[Loss]) -> None:
    """Raises UserError for ce beside others, a method twice, and "+ls" after a feature method."""
    if "ce" in words and len(words) > 1:
        raise UserError(f"method {method!r}: every method has its cross-entropy; leave ce out")
    for word in LOSSES:
        if words.count(word) > 1:
            raise UserError(f"method {method!r} has {word} twice")
    for loss in losses:
        if isinstance(loss, Standardized) and uses_features(loss):
            name = method_name(loss.loss)
            raise UserError(f"method {method!r}: {name} compares features, +ls changes logits")


def method_name(loss: Loss) -> str:
    """The inverse of ``named``, for a loss with any hyper-parameters."""
    if isinstance(loss, Sum):
        return "+".join(method_name(part) for part in loss.losses)
    if isinstance(loss, Standardized):
        return f"{method_name(loss.loss)}+{STANDARDIZED}"
    for name, cls in LOSSES.items():
        if type(loss) is cls:
            return name
    raise choose("loss", type(loss).__name__, LOSSES)
