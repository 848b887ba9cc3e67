"""What stands for a run's process: real recorder, real checkpoints and resume, and steps that learn nothing and take a hundredth of a second.

python -m tests.training.stand_in DIRECTORY [--steps N] [--noise BYTES] [--worker]
python -m tests.training.stand_in DIRECTORY --press saving|scoring    the real training, with "Stop and save" pressed at just that moment
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import checkpoints
from training.carrying import load_config
from training.checkpoints import NEEDED, write_manifest
from training.config import RunConfig
from training.jobs import launch, stop_and_save
from training.keeper import ProcessMark
from training.run import Recorder, go_on_from, run

SAVES_EVERY = 5
FOR_EVER = 20_000  # minutes: what a test that failed leaves behind ends by itself
STEP_S = 0.01


def stand_in(directory: Path, *options: str) -> ProcessMark | None:
    """Launch a stand-in for the run in `directory`."""
    return launch(directory, command(directory, *options))


def command(directory: Path, *options: str) -> Sequence[str]:
    return (sys.executable, "-m", "tests.training.stand_in", str(directory), *options)


def work(directory: Path, steps: int, noise: int) -> None:
    with Recorder(directory) as recorder:
        config = load_config(directory)
        came_from = go_on_from(directory, config, recorder)
        step = int(came_from.name.partition("-")[2]) if came_from else 0
        recorder.emit("phase", phase="training", total_steps=steps)
        sys.stdout.write("x" * noise)
        while step < steps and not recorder.stop_asked():
            time.sleep(STEP_S)
            step += 1
            recorder.emit("step", step=step, loss=1 / step)
            if step % SAVES_EVERY == 0 or recorder.stop_asked():
                save(directory, config, step)
        (directory / "adapter").mkdir()
        (directory / "adapter" / "adapter_config.json").write_text("{}")
        recorder.figures = {"steps": step, "stopped_early": step < steps}


def save(directory: Path, config: RunConfig, step: int) -> None:
    folder = directory / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in NEEDED:
        (folder / name).write_text(f"{name} of step {step}")
    write_manifest(folder, config, step, 1 / step)


def train(moment: str, directory: Path) -> None:
    """Do the run; press "Stop and save" when it scores its held-out rows after training, or while it saves its first checkpoint, or kill it at a step."""
    emit, seal, scored = Recorder.emit, checkpoints.write_manifest, []

    def telling(recorder: Recorder, kind: str, **values: Any) -> None:
        emit(recorder, kind, **values)
        if kind == "step" and str(values["step"]) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        if moment == "scoring" and str(values.get("phase")).startswith("scoring"):
            scored.append(kind)
            if len(scored) == 2:
                stop_and_save(directory)

    def saving(*given: Any, **named: Any) -> None:
        if moment == "saving":
            stop_and_save(directory)
        seal(*given, **named)

    Recorder.emit = telling  # type: ignore[method-assign]
    checkpoints.write_manifest = saving
    run(directory)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=FOR_EVER)
    parser.add_argument("--noise", type=int, default=0)
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--at")
    given = parser.parse_args()
    if given.worker:
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (given.directory / "worker").write_text(str(worker.pid))
    if given.at:
        train(given.at, given.directory)
    else:
        work(given.directory, given.steps, given.noise)


if __name__ == "__main__":
    main()
