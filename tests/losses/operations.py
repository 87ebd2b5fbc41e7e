"""What a loss asks of the device: its operations, and the largest tensor among their results."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

NO_WORK = {
    *("alias", "as_strided", "detach", "empty", "empty_like", "expand", "permute", "promote_types"),
    *("select", "slice", "squeeze", "t", "transpose", "unbind", "unsqueeze", "view"),
}  # views, new memory, questions


class Operations(TorchDispatchMode):
    """Counts operations that compute something; on a GPU each is a kernel, some are two."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.largest = 0  # elements

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name not in NO_WORK:
            self.names.append(name)
            made = result if isinstance(result, tuple) else (result,)
            self.largest = max([self.largest, *(x.numel() for x in made if torch.is_tensor(x))])
        return result
