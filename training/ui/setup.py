"""The tab Set up: what is frozen, which settings, whether this machine can, and the start."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from store.clips import get_media
from store.context import Context
from store.curated import get_set, list_sets
from store.errors import InputError, RefusedError, UserError
from store.records import CuratedSet, Media, Run
from training.asking import rows_to_ask
from training.carrying import KINDS as SETS
from training.config import KINDS, LOCKED, RunConfig
from training.form import FIELDS, GROUPS, FormField, config_of, preset_named, presets_for, values_of
from training.jobs import Order, after_ended, known_runs, load_config, order_json, parent_problem, start_run
from training.markdown import plain
from training.overview import describe, row_problem
from training.preferences import few_pairs_problem, scored_problem
from training.questions import chosen_questions, contamination_problem, load_questions
from training.readiness import check_machine, find_gpus
from training.rows import FrozenSet, Row, load_set, planned_rows
from training.ui.run_views import launch_text, named, status_of
from training.ui.runs import PRESSED

STAGES = [
    ("SFT: learn the accepted texts", "sft"),
    ("DPO: prefer the chosen text over the rejected", "dpo"),
    ("Evaluate: answer held-out questions", "evaluate"),
    ("Write: texts by the model", "write"),
]
# What can be frozen: kind of the set, and of its rows or, for pairs, their origin; none: all.
FREEZES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Accepted narratives and rationales": ("sft", ("narrative", "rationale")),
    "Raw question-answer pairs": ("sft", ("answer",)),
    "Accepted texts and raw pairs, to be mixed": ("sft", KINDS),
    "Accepted preference pairs": ("dpo", ()),
    "Of these, correctness pairs only": ("dpo", ("correctness",)),
    "Held-out questions": ("questions", ()),
}
FREEZE_FIRST = {"sft": "Accepted narratives and rationales", "dpo": "Accepted preference pairs", "evaluate": "Held-out questions"}
BASE_ONLY = ("The base model alone", "")


@dataclass(frozen=True)
class SetupPage:
    """The tab's functions over one data directory; it keeps nothing itself."""

    context: Context

    def load(self) -> list[Any]:
        """Return the choices of sets, questions and parents as the page opens: for SFT, the newest first and chosen."""
        return [self._set_choices("sft"), self._question_choices(), self._parent_choices("sft")]

    def change_stage(self, stage: str) -> list[Any]:
        """Return all that depends on the stage: what is frozen, sets, parents, presets, the first preset's origin, and the fields with its values."""
        names = presets_for(stage)
        parents = self._parent_choices(stage)
        origin, *values = self.fill(stage, names[0], parents["value"])
        shown = [{**value, "visible": stage in field.stages} for field, value in zip(FIELDS, values, strict=True)]
        groups = [gr.update(visible=any(stage in field.stages for field in group)) for group in GROUPS.values()]
        freeze = gr.update(value=FREEZE_FIRST.get(stage, FREEZE_FIRST["sft"]))
        return [freeze, self._set_choices(stage), parents, gr.update(choices=names, value=names[0]), origin, *shown, *groups]

    def fill(self, stage: str, preset: str, parent_id: str | None) -> list[Any]:
        """Return origin and values of the preset; with a parent run with the model and pixels of that run, which cannot be changed."""
        if preset not in presets_for(stage):
            # The stage has changed and its presets are on their way.
            return [gr.skip()] * (1 + len(FIELDS))
        found = preset_named(preset)
        parent = self._config(parent_id) if stage != "sft" else None
        locked = {name: getattr(parent, name) for name in LOCKED} if parent else {}
        needed = {"dpo": {"parent_run": parent_id or "not chosen yet"}}.get(stage, {})
        values = values_of(found.config(**locked, **needed))
        return [found.origin, *(gr.update(value=value, interactive=is_open(field, stage, parent_id)) for field, value in zip(FIELDS, values, strict=True))]

    def freeze(self, stage: str, what: str, name: str, questions_id: str | None) -> list[Any]:
        """Freeze what is asked for and choose the new set where it can be used."""
        kind, kinds = FREEZES[what]
        made = self.context.freeze_set(kind, name.strip() or what, kinds)
        said = f"Frozen: {plain(made.name)}, {made.row_count:,} rows."
        sets = self._set_choices(stage, made.id) if made.kind in SETS[stage] else gr.skip()
        return [sets, self._question_choices(made.id if made.kind == "questions" else questions_id), said]

    def describe(self, *inputs: Any) -> tuple[str, str, str]:
        """Return what would be worked on, whether this machine can, and the order with which the command line does the same."""
        try:
            config, set_id = self.asked(*inputs)
            overview, problem = self._overview(config, set_id)
        except UserError as error:
            return "", f"**Not ready.** {plain(str(error))}", ""
        if set_id is None or problem:
            return overview, f"**Not ready.** {plain(problem or _no_set(config.stage))}", ""
        written = launch_text(self.context.data, order_json(self._order("", config, set_id)))
        readiness = check_machine(config.model, find_gpus())
        lines = [f"- {plain(line)}" for line in (*readiness.obstacles, *readiness.notes, *self._busy())]
        verdict = "**Ready.**" if readiness.ready else "**Not ready for this model.** The pipeline check can still be run: choose its preset."
        return overview, "\n".join([verdict, "", *lines]), written

    def start(self, name: str, *inputs: Any) -> list[Any]:
        """Start the run that the form asks for; while it goes on, the same form starts no other, in whatever tab or browser it stands."""
        config, set_id = self.asked(*inputs)
        if set_id is None:
            raise InputError(_no_set(config.stage))
        problems = [*check_machine(config.model, find_gpus()).obstacles, *filter(None, [self._overview(config, set_id)[1]])]
        if problems:
            raise RefusedError(" ".join(problems))
        with self.context.open() as db:
            known = {run.id for run in known_runs(db, self.context.data)}
            order = after_ended(self.context.data, self._order(name, config, set_id))
            run = start_run(db, self.context.data, order)
            runs = known_runs(db, self.context.data)
        once = "was started already and goes on: two runs alike would come to the same. Change a field, the seed for example, to start another."
        said = f"{plain(run.name)} {'is started.' if run.id not in known else once}"
        return [gr.update(choices=named(runs), value=run.id), said, gr.Tabs(selected="runs")]

    def asked(self, stage: str, set_id: str | None, parent_id: str | None, questions_id: str | None, *values: Any) -> tuple[RunConfig, str | None]:
        """Return the config that stands in the form, and the id of the set that it works on, if one is chosen.

        Raises InputError when the config is not whole, or a DPO run has nothing to start from.
        """
        if stage == "dpo" and not parent_id and not self._parent_choices(stage)["choices"]:
            raise InputError(
                "There is no finished SFT run to start from. Choose the stage SFT, start a run there, let it finish, then choose DPO again. "
                "A pipeline check will do to try it out."
            )
        if stage == "evaluate" and not questions_id:
            raise InputError(_no_set(stage))
        config = config_of(stage, values, parent_id or None, self._config(parent_id), questions_id or None)
        if stage == "evaluate":
            return config, questions_id
        if stage == "write":
            # What is written about may be questions; then these are the set.
            return replace(config, question_set=set_id if set_id and self._set(set_id).kind == "questions" else None), set_id or None
        # A set of questions that is never looked at would only be carried along.
        return config if config.accuracy_steps else replace(config, question_set=None), set_id or None

    def _order(self, name: str, config: RunConfig, set_id: str) -> Order:
        return Order(name, config, self._set(set_id), PRESSED, self._set(config.question_set) if config.question_set else None)

    def _overview(self, config: RunConfig, set_id: str | None) -> tuple[str, str | None]:
        """Return what would be worked on as Markdown, and why it would be refused, or None."""
        if set_id is None:
            return "", None
        curated = self._set(set_id)
        if config.stage == "write":
            return self._to_write(curated, config), None
        if curated.kind == "questions":
            return self._asked_questions(curated, config), None
        frozen, media = self._load(curated)
        return describe(frozen, config, media), self._problem(frozen.rows, config) or row_problem(frozen, config, media)

    def _problem(self, rows: Sequence[Row], config: RunConfig) -> str | None:
        train, held_out = planned_rows(rows, config)
        if config.stage == "dpo" and (problem := few_pairs_problem(len(train), config) or scored_problem((*train, *held_out), config)):
            return problem
        if config.question_set is None or config.stage == "write":
            return None
        directory = self.context.data / self._set(config.question_set).directory
        return contamination_problem({row.clip.digest for row in train}, chosen_questions(load_questions(directory), config))

    def _to_write(self, curated: CuratedSet, config: RunConfig) -> str:
        directory, has_questions = self.context.data / curated.directory, curated.kind == "questions"
        questions = chosen_questions(load_questions(directory), config) if has_questions else ()
        asked = rows_to_ask(() if has_questions else load_set(directory).rows, questions, config.writes)
        count = min(config.max_rows or len(asked), len(asked))
        who = "the adapter" if config.parent_run else "the base model"
        return f"**{plain(curated.name)}**: {count:,} of {len(asked):,} texts of the kind {config.writes}, each by {who}."

    def _asked_questions(self, curated: CuratedSet, config: RunConfig) -> str:
        every = load_questions(self.context.data / curated.directory)
        asked = chosen_questions(every, config)
        types = ", ".join(f"{plain(str(name))} {count:,}" for name, count in sorted(Counter(one.type or "no type" for one in asked).items()))
        clips = len({one.clip for one in asked})
        about = f"{clips:,} clip{'' if clips == 1 else 's'}"
        return f"**{plain(curated.name)}**: {len(asked):,} of {len(every):,} questions about {about}. By type: {types}."

    def _load(self, curated: CuratedSet) -> tuple[FrozenSet, dict[str, Media | None]]:
        with self.context.open() as db:
            frozen = load_set(self.context.data / curated.directory)
            media = {digest: get_media(db, digest) for digest in {row.clip.digest for row in frozen.rows}}
        return frozen, media

    def _set(self, set_id: str) -> CuratedSet:
        with self.context.open() as db:
            return get_set(db, set_id)

    def _runs(self) -> list[Run]:
        with self.context.open() as db:
            return known_runs(db, self.context.data)

    def _busy(self) -> list[str]:
        working = [run.name for run in self._runs() if status_of(self.context.data, run).state in ("running", "stalled")]
        return [f"{', '.join(working)} is being run here now; a run that needs the same device waits for its turn."] if working else []

    def _config(self, parent_id: str | None) -> RunConfig | None:
        return load_config(self.context.data / "runs" / parent_id) if parent_id else None

    def _set_choices(self, stage: str, chosen: str | None = None) -> Any:
        with self.context.open() as db:
            sets = [known for known in list_sets(db) if known.kind in SETS[stage]]
        # A set that is made for the stage rather than one that will do, each the newest of its kind.
        first = next((known.id for kind in SETS[stage] for known in sets if known.kind == kind), None)
        return gr.update(choices=_set_names(sets), value=chosen or first, visible=stage != "evaluate")

    def _question_choices(self, chosen: str | None = None) -> Any:
        with self.context.open() as db:
            sets = list_sets(db, "questions")
        return gr.update(choices=_set_names(sets), value=chosen or (sets[0].id if sets else None))

    def _parent_choices(self, stage: str) -> Any:
        if stage == "sft":
            return gr.update(choices=[], value=None, visible=False)
        fit = named([run for run in self._runs() if run.stage in ("sft", "dpo") and parent_problem(self.context.data, run.id, stage) is None])
        label = "SFT run to start from" if stage == "dpo" else "Adapter of the run"
        choices = fit if stage == "dpo" else [*fit, BASE_ONLY]
        return gr.update(choices=choices, value=choices[0][1] if choices else None, visible=True, label=label)


def _no_set(stage: str) -> str:
    return f'There is no curated set for this. Choose "{FREEZE_FIRST.get(stage, FREEZE_FIRST["sft"])}" and press "Freeze" first.'


def _set_names(sets: Sequence[CuratedSet]) -> list[tuple[str, str]]:
    return [(f"{known.name} · {known.row_count:,} rows · {known.created_at[:16]}", known.id) for known in sets]


def is_open(field: FormField, stage: str, parent_id: str | None) -> bool:
    """Whether the field can be changed: model and pixels of an adapter are those of its run."""
    return not (field.name in LOCKED and (stage == "dpo" or (stage != "sft" and bool(parent_id))))
