"""How a text is asked for: the options of a prompt, each of which is known of every text."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from store.errors import InputError

KINDS = ("narrative", "rationale")
ORDERS = ("file", "time")
ANSWERS = ("given", "withheld", "wrong")
SHOWN = ("nothing", "frames", "video")


@dataclass(frozen=True)
class Arm:
    """One way to ask for texts of one kind. A field of the other kind stays at its default."""

    kind: str
    shown: str = "nothing"  # of the clip: "nothing" (words alone), "frames" (those of the context builder, with what is said) or "video" (the file)
    # Narratives
    order: str = "file"  # in which QA pairs are listed: as the data set numbers them, or by when their evidence begins
    times: bool = False  # whether each pair stands with the times of its evidence
    plan: bool = False  # whether the certain order of the evidence stands as a numbered list that is to be followed
    register: bool = False  # whether the people and things named in the questions stand as a list that says who is not whom
    sources: bool = False  # whether each sentence is to say on which pairs it rests
    # Rationales
    answer: str = "given"  # "given" (the method), "withheld" (the ablation) or "wrong" (the counterfactual)
    citations: bool = False  # whether each sentence is to say when what it tells is seen

    def __post_init__(self) -> None:
        """Raise InputError when a value is none of its choices, or belongs to the other kind of text."""
        for name, choices in (("kind", KINDS), ("shown", SHOWN), ("order", ORDERS), ("answer", ANSWERS)):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}, and must be one of {', '.join(choices)}.")
        foreign = ("answer", "citations") if self.kind == "narrative" else ("order", "times", "plan", "register", "sources")
        changed = [name for name in foreign if getattr(self, name) != getattr(Arm, name)]
        if changed:
            raise InputError(f"{', '.join(changed)} has no meaning for a {self.kind}. Leave it out.")

    @property
    def answer_known(self) -> bool:
        """Whether the writer is told the right answer."""
        return self.kind == "narrative" or self.answer == "given"

    def as_json(self) -> dict[str, Any]:
        """Return the fields of the arm's kind, as they are kept with each text."""
        foreign = ("answer", "citations") if self.kind == "narrative" else ("order", "times", "plan", "register", "sources")
        return {name: value for name, value in asdict(self).items() if name not in foreign}


# By kind and name. The first of a kind is the one that is meant when nobody chooses.
PRESETS: Mapping[str, Mapping[str, Arm]] = MappingProxyType(
    {
        "narrative": MappingProxyType(
            {
                "full": Arm("narrative", order="time", times=True, plan=True, register=True, sources=True),
                "file": Arm("narrative"),
                "sorted": Arm("narrative", order="time"),
                "times": Arm("narrative", times=True),
                "plan": Arm("narrative", plan=True),
                "register": Arm("narrative", register=True),
                "sources": Arm("narrative", sources=True),
            }
        ),
        "rationale": MappingProxyType(
            {
                "given": Arm("rationale", "frames", citations=True),
                "withheld": Arm("rationale", "frames", answer="withheld", citations=True),
                "wrong": Arm("rationale", "frames", answer="wrong", citations=True),
            }
        ),
    }
)


def arm_of(kind: str, name: str | None = None, options: Mapping[str, Any] | None = None) -> Arm:
    """Return the preset of this name, or the kind's first, with these fields changed. Raises InputError for what there is not."""
    if kind not in PRESETS:
        raise InputError(f"{kind!r} is no kind of text. There are: {', '.join(PRESETS)}.")
    presets = PRESETS[kind]
    chosen = presets.get(name or next(iter(presets)))
    if chosen is None:
        raise InputError(f"{name!r} is no arm of {kind}s. There are: {', '.join(presets)}.")
    unknown = sorted(set(options or ()) - set(chosen.as_json()))
    if unknown:
        raise InputError(f"{', '.join(unknown)} is no option of a {kind}. There are: {', '.join(chosen.as_json())}.")
    return Arm(**{**asdict(chosen), **(options or {})})


def read_arm(text: str) -> Arm:
    """Return the arm that `json.dumps(arm.as_json())` wrote."""
    return Arm(**json.loads(text))
