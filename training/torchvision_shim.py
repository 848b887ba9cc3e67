"""Makes PyPI's torchvision importable beside a CPU-only torch; must run before transformers, trl or peft are imported.

The wheel's compiled part asks for CUDA libraries. Without it `import torchvision` fails on two operators whose shapes it describes, although
the transforms, all that the processors need, are written in torch. Declaring the two operators lets the import through. No-op with CUDA.
"""

import sys

import torch  # noqa: TID251  one of the torch modules' own
from torch import library  # noqa: TID251


def install() -> library.Library | None:
    """Make `import torchvision` work; return the operator library, which lives as long as somebody holds it, or None if not needed."""
    try:
        import torchvision
    except ModuleNotFoundError:
        return None
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return None
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    operators = library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401

    return operators
