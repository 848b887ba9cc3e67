"""`python -m training.merge DIRECTORY`: an adapter merged into the bfloat16 weights of its base, in a process of its own.

Never into a quantised base: its weights are rounded to 16 values a block, and the sum would be rounded again. So the base is loaded whole,
whatever the run used, and the model card says so.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from store.errors import InputError
from training.child import answer_as_child


def merge_adapter(base: str, adapter: Path, folder: Path) -> dict[str, Any]:
    """Put base plus adapter into `folder` as safetensors in bfloat16, with its processor; return how many layers were merged.

    Loads the whole base into memory, on the CPU, so that it never fights a run for the GPU.
    Raises InputError when the adapter changes nothing or a merged weight is not finite, NotFoundError without the base.
    """
    # Not before the environment is set; the first one repairs torchvision.
    from training import model as models

    from peft import PeftModel  # isort: skip
    from peft.tuners.lora import LoraLayer  # isort: skip

    tuned = PeftModel.from_pretrained(models.load_model(base, "none"), str(adapter))
    layers = sum(isinstance(layer, LoraLayer) for layer in tuned.modules())
    try:
        merged = tuned.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise InputError(f"The adapter cannot be merged: {error} Its run may have gone wrong; look at its log.") from error
    merged.save_pretrained(folder, max_shard_size="4GB")
    models.load_processor(base).save_pretrained(folder)
    return {"layers": layers}


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    os.environ |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    return merge_adapter(request["base"], Path(request["adapter"]), Path(request["folder"]))


if __name__ == "__main__":
    answer_as_child(_answer)
