"""Signals, suggested flags and known verdicts of a text into the tables; what is here already stays. Call inside a transaction."""

import sqlite_utils

from curation.datasets.drafts import CandidateDraft, SuggestedFlag
from curation.datasets.fields import Fault, shown
from store.records import Gold, Signal, Suggestion
from store.rows import digest_id, utc_now
from store.signals import add_signals, add_suggestions, gold_of, set_gold, signals_of, suggestions_of

SET_BY = "import"


def store_hints(db: sqlite_utils.Database, draft: CandidateDraft, candidate_id: str, length_s: float | None) -> tuple[Fault, ...]:
    """Keep what came with the text; return a notice for each thing that is here already with other content, or was cut at the clip's end."""
    flags, cut = _cut(draft.suggested_flags, length_s)
    return _signals(db, draft, candidate_id) + _flags(db, flags, draft.text, candidate_id) + cut + _gold(db, draft, candidate_id)


def _signals(db: sqlite_utils.Database, draft: CandidateDraft, candidate_id: str) -> tuple[Fault, ...]:
    known = {signal.name: signal.value for signal in signals_of(db, candidate_id)} if draft.signals else {}
    add_signals(db, [Signal(candidate_id, name, value) for name, value in draft.signals if name not in known])
    other = [(name, value) for name, value in draft.signals if known.get(name, value) != value]
    return tuple(Fault("signals", _stays(f"signal {shown(name)} is", f"{known[name]:g}", f"{value:g}")) for name, value in other)


def _flags(db: sqlite_utils.Database, flags: tuple[SuggestedFlag, ...], text: str, candidate_id: str) -> tuple[Fault, ...]:
    made = [_suggestion(flag, text, candidate_id, place) for place, flag in enumerate(flags)]
    known = suggestions_of(db, candidate_id) if made else []
    if not known:
        add_suggestions(db, made)
    other = bool(known) and known != made
    return (Fault("suggested_flags", _stays("suggested flags are", f"{len(known)} others", f"these {len(made)}")),) if other else ()


def _gold(db: sqlite_utils.Database, draft: CandidateDraft, candidate_id: str) -> tuple[Fault, ...]:
    if draft.gold is None:
        return ()
    known = gold_of(db, candidate_id)
    if known is None:
        set_gold(db, Gold(candidate_id, draft.gold.verdict, draft.gold.flag_kinds, draft.gold.reason, SET_BY, utc_now()))
        return ()
    same = (known.verdict, known.flag_kinds) == (draft.gold.verdict, draft.gold.flag_kinds)
    return () if same else (Fault("gold", _stays("gold verdict is", known.verdict, draft.gold.verdict)),)


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
