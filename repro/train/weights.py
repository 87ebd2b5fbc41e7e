"""Networks by run: fresh ones from their seed, finished ones from half-precision weights."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from repro import models
from repro.data.sizes import classes_of
from repro.errors import UserError
from repro.files import write_atomically
from repro.spec import Run, seed
from repro.train.adapters import deployed, stored_adapter


def initial(run: Run, device: torch.device) -> nn.Module:
    """The run's network with its first weights: of (network, classes, trial) alone."""
    classes = classes_of(run.stream)
    start = seed("weights", run.network, classes, run.trial)
    model = models.build(run.network, num_classes=classes, seed=start)
    return channels_last(model.to(device))


def channels_last(model: nn.Module) -> nn.Module:
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def save_half(model: nn.Module, path: Path, stage: Path | None = None) -> None:
    """Parameters as float16, buffers (BatchNorm statistics) as they are.

    ``stage`` and what is raised: as for ``write_atomically``.
    """
    parameters = {name for name, _ in model.named_parameters()}
    tensors = {
        name: (tensor.half() if name in parameters else tensor).contiguous().cpu()
        for name, tensor in model.state_dict().items()
    }
    write_atomically(path, safetensors.torch.save(tensors), stage)


def load_half(run: Run, path: Path, device: torch.device) -> nn.Module:
    """The network of a finished run, float32, in eval mode. Raises UserError if damaged."""
    try:
        return restored(run, safetensors.torch.load_file(path), device)
    except (OSError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
        again = "import it again" if run.weights else "run its grid again"
        raise UserError(
            f"{path} cannot be read as weights of {run.network} ({str(error).splitlines()[0]}); "
            f"remove {path.parent} and {again}"
        ) from error


def restored(run: Run, stored: Mapping[str, Tensor], device: torch.device) -> nn.Module:
    """The network with the tensors that ``save_half`` wrote, float32, in eval mode."""
    model = deployed(initial(run, torch.device("cpu")), stored_adapter(run))
    model.load_state_dict(dict(stored), assign=True)
    return channels_last(model.float().to(device)).eval()


def weights_key(network: str, stored: Mapping[str, Tensor]) -> str:
    """What names imported weights: SHA-256 of the network and each tensor's name, shape, bytes."""
    digest = hashlib.sha256(network.encode())
    for name, tensor in sorted(stored.items()):
        digest.update(f"\n{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
