"""Signals, suggested flags and known verdicts of a text into the tables; what is here already stays. Call inside a transaction."""

from dataclasses import dataclass

import sqlite_utils

from curation.datasets.drafts import CandidateDraft, SuggestedFlag
from curation.datasets.fields import Fault, shown
from store.records import Gold, Signal, Suggestion
from store.rows import digest_id, utc_now
from store.signals import add_signals, add_suggestions, gold_of, set_gold, signals_of, suggestions_of

SET_BY = "import"


@dataclass(frozen=True)
class Hints:
    """What became of the things of one kind that came with a text; a notice for each that is here with other content or was cut."""

    kind: str  # "signal", "suggested_flag" or "gold"
    added: int = 0
    unchanged: int = 0
    notices: tuple[Fault, ...] = ()


def store_hints(db: sqlite_utils.Database, draft: CandidateDraft, candidate_id: str, length_s: float | None) -> tuple[Hints, ...]:
    """Keep what came with the text, the flags cut at the clip's end; return what became of it, by kind."""
    return (_signals(db, draft, candidate_id), _flags(db, draft, candidate_id, length_s), _gold(db, draft, candidate_id))


def _signals(db: sqlite_utils.Database, draft: CandidateDraft, candidate_id: str) -> Hints:
    known = {signal.name: signal.value for signal in signals_of(db, candidate_id)} if draft.signals else {}
    new = [Signal(candidate_id, name, value) for name, value in draft.signals if name not in known]
    add_signals(db, new)
    other = [(name, value) for name, value in draft.signals if known.get(name, value) != value]
    notices = tuple(Fault("signals", _stays(f"signal {shown(name)} is", f"{known[name]:g}", f"{value:g}")) for name, value in other)
    return Hints("signal", len(new), len(draft.signals) - len(new), notices)


def _flags(db: sqlite_utils.Database, draft: CandidateDraft, candidate_id: str, length_s: float | None) -> Hints:
    flags, cut = _cut(draft.suggested_flags, length_s)
    made = [_suggestion(flag, draft.text, candidate_id, place) for place, flag in enumerate(flags)]
    known = suggestions_of(db, candidate_id) if made else []
    if not known:
        add_suggestions(db, made)
    other = bool(known) and known != made
    stay = (Fault("suggested_flags", _stays("suggested flags are", f"{len(known)} others", f"these {len(made)}")),) if other else ()
    return Hints("suggested_flag", 0 if known else len(made), len(known), stay + cut)


def _gold(db: sqlite_utils.Database, draft: CandidateDraft, candidate_id: str) -> Hints:
    if draft.gold is None:
        return Hints("gold")
    known = gold_of(db, candidate_id)
    if known is None:
        set_gold(db, Gold(candidate_id, draft.gold.verdict, draft.gold.flag_kinds, draft.gold.reason, SET_BY, utc_now()))
        return Hints("gold", added=1)
    same = (known.verdict, known.flag_kinds) == (draft.gold.verdict, draft.gold.flag_kinds)
    return Hints("gold", unchanged=1, notices=() if same else (Fault("gold", _stays("gold verdict is", known.verdict, draft.gold.verdict)),))


def _suggestion(flag: SuggestedFlag, text: str, candidate_id: str, place: int) -> Suggestion:
    (start, end), (start_s, end_s) = flag.text or (None, None), flag.span or (None, None)
    quote = "" if flag.text is None else text[slice(*flag.text)]
    return Suggestion(digest_id("suggestion", candidate_id, place), candidate_id, flag.kind, start, end, quote, start_s, end_s, flag.severity, flag.comment)


def _cut(flags: tuple[SuggestedFlag, ...], length_s: float | None) -> tuple[tuple[SuggestedFlag, ...], tuple[Fault, ...]]:
    """Return the flags with moments inside the clip: the desk takes no others."""
    over = [flag for flag in flags if flag.span is not None and length_s is not None and flag.span[1] > length_s]
    told = (Fault("suggested_flags", f"The moments of {len(over)} suggested flags were cut at the end of the clip, {length_s:g} s."),) if over else ()
    return tuple(_inside(flag, length_s) if flag in over else flag for flag in flags), told


def _inside(flag: SuggestedFlag, length_s: float | None) -> SuggestedFlag:
    start_s, end_s = flag.span or (0.0, 0.0)
    span = None if length_s is None or start_s >= length_s else (start_s, min(end_s, length_s))
    return SuggestedFlag(flag.kind, flag.severity, flag.comment, flag.text, span)


def _stays(what: str, here: str, read: str) -> str:
    return f"Left as it is here: the {what} {here}, not {read}. An import changes nothing."
