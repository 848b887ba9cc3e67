"""How fast a run goes and when it will be done, from the times of its events. Pure, a few operations an event."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# Fewer timed steps foretell nothing.
LEAST_STEPS = 3
# The newest step weighs so much; the first steps are averaged.
_NEWEST = 0.05


@dataclass(frozen=True)
class Pace:
    """What the events up to now tell of time, in seconds."""

    step: int = 0  # the last one
    total_steps: int | None = None
    step_s: float | None = None  # exponentially weighted mean of the timed steps
    timed: int = 0  # steps that it is made of: neither the first after a start, which warms up, nor one mixed with other work
    pauses_s: float = 0.0  # evaluation and saving between steps
    paused_steps: int = 0  # steps over which these pauses are known
    scoring_s: float = 0.0  # the scoring before the first step; it comes again after the last
    done: int = 0  # of what is counted otherwise: texts, clips
    of: int = 0
    done_from: tuple[int, float] | None = None  # the first count and its moment
    last_at: float | None = None  # the last step, or the moment when training began
    at: float = 0.0  # the last event
    phase: str = ""
    phase_at: float = 0.0
    warming: bool = True
    mixed: bool = False  # whether something else was done since the last step

    def after(self, event: Mapping[str, Any]) -> "Pace":
        """Return what is known after one more event."""
        kind, at = event["kind"], float(event.get("at", self.at))
        if kind == "step":
            return self._stepped(event, at)
        now = replace(self, at=at, total_steps=event.get("total_steps") or self.total_steps)
        if kind == "phase":
            return now._in_phase(str(event["phase"]), at)
        if kind == "resumed":
            return replace(now, step=int(event.get("step") or 0), warming=True, last_at=None, done_from=None)
        if event.get("of") and event.get("done") is not None:
            return replace(now, done=int(event["done"]), of=int(event["of"]), done_from=now.done_from or (int(event["done"]), at))
        return now if kind == "heartbeat" else replace(now, mixed=True)

    @property
    def eta_s(self) -> float | None:
        """Seconds from the last step to the end of training, scoring included, or None while fewer than LEAST_STEPS steps are timed."""
        if self.done_from is not None and self.of > self.done:
            counted = self.done - self.done_from[0]
            return None if counted < LEAST_STEPS else (self.at - self.done_from[1]) / counted * (self.of - self.done)
        if self.step_s is None or self.timed < LEAST_STEPS or self.total_steps is None:
            return None
        pause_s = self.pauses_s / max(1, self.paused_steps)
        return (self.total_steps - self.step) * (self.step_s + pause_s) + self.scoring_s

    @property
    def counted(self) -> int:
        """How many steps, or texts, the time that is left is told from."""
        return self.done - self.done_from[0] if self.done_from is not None else self.timed

    def _in_phase(self, phase: str, at: float) -> "Pace":
        scored = at - self.phase_at if self.phase.startswith("scoring") and self.step == 0 else self.scoring_s
        begun = replace(self, phase=phase, phase_at=at, scoring_s=scored, mixed=True)
        return replace(begun, last_at=at, warming=True, mixed=False) if phase == "training" else replace(begun, done_from=None)

    def _stepped(self, event: Mapping[str, Any], at: float) -> "Pace":
        passed = None if self.last_at is None else max(0.0, at - self.last_at)
        told = event.get("seconds")
        own = float(told) if told is not None else (None if self.mixed else passed)
        changed: dict[str, Any] = {"step": int(event["step"]), "last_at": at, "at": at, "mixed": False, "warming": False}
        if not self.warming and passed is not None and (own is not None or self.step_s is not None):
            if own is not None:
                mean = own if self.step_s is None else self.step_s + (own - self.step_s) * max(_NEWEST, 1 / (self.timed + 1))
                changed |= {"step_s": mean, "timed": self.timed + 1}
            # Other work in between, of which the step does not say what was its own, is what is over the usual.
            usual_s = own if own is not None else self.step_s or 0.0
            changed |= {"pauses_s": self.pauses_s + max(0.0, passed - usual_s), "paused_steps": self.paused_steps + 1}
        return replace(self, **changed)


def duration_text(seconds: float) -> str:
    """Return a duration for a reader: "40 s", "12 min", "3 h 20 min", "2 d 5 h"."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
