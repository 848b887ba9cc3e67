"""What may come with a text in our own format: signals, suggested flags, a known verdict. What is wrong is left out and told. Pure."""

import math
from collections.abc import Mapping
from typing import Any

from curation.datasets.drafts import CandidateDraft, GoldDraft, SuggestedFlag
from curation.datasets.fields import BadField, Fault, optional_text, seconds, shown, text_field
from curation.work_flags import WITHOUT_WORDS

FLAG_KINDS = ("justified_fabrication", "temporal_error", "entity_drift", "plain_hallucination", "omission", "other")
GOLD_VERDICTS = ("accept", "reject")
HARDEST = 3
FLAG_FIELDS = ("kind", "severity", "comment", "text_start", "text_end", "start_s", "end_s")
GOLD_FIELDS = ("verdict", "flag_kinds", "reason")


def read_signals(values: Mapping[str, Any]) -> tuple[tuple[tuple[str, float], ...], tuple[Fault, ...]]:
    """Return the signals by name and value, and a fault for each that is none."""
    given = values.get("signals")
    if given is None:
        return (), ()
    if not isinstance(given, dict):
        return (), (Fault("signals", f"Left out: signals is {shown(given)}; it must be an object of names and numbers."),)
    found: list[tuple[str, float]] = []
    faults: list[Fault] = []
    for name, value in given.items():
        try:
            found.append((text_field({"signals": name}, "signals").strip(), _number(name, value)))
        except BadField as bad:
            faults.append(Fault("signals", f"Signal left out: {bad.reason}"))
    return tuple(sorted(dict(found).items())), tuple(faults)


def read_suggested(values: Mapping[str, Any], text: str) -> tuple[tuple[SuggestedFlag, ...], tuple[Fault, ...]]:
    """Return the suggested flags of the text, and a fault for each that is none."""
    given = values.get("suggested_flags")
    if given is None:
        return (), ()
    if not isinstance(given, list):
        return (), (Fault("suggested_flags", f"Left out: suggested_flags is {shown(given)}; it must be a list of flags."),)
    found: list[SuggestedFlag] = []
    faults: list[Fault] = []
    for item in given:
        try:
            found.append(_flag(item, text))
        except BadField as bad:
            faults.append(Fault("suggested_flags", f"Suggested flag left out: {bad.reason}"))
    return tuple(found), tuple(faults)


def read_gold(values: Mapping[str, Any]) -> tuple[GoldDraft | None, tuple[Fault, ...]]:
    """Return the known verdict, or none, and a fault when what is given is none."""
    given = values.get("gold")
    if given is None:
        return None, ()
    try:
        return _gold(given), ()
    except BadField as bad:
        return None, (Fault("gold", f"Left out, so that the text is one as all others: {bad.reason}"),)


def hint_values(draft: CandidateDraft) -> dict[str, Any]:
    """Return what `read_...` read, as JSON data; empty when nothing came with the text."""
    values: dict[str, Any] = {}
    if draft.signals:
        values["signals"] = dict(draft.signals)
    if draft.suggested_flags:
        values["suggested_flags"] = [_flag_values(flag) for flag in draft.suggested_flags]
    if draft.gold is not None:
        values["gold"] = {"verdict": draft.gold.verdict, "flag_kinds": list(draft.gold.flag_kinds), "reason": draft.gold.reason}
    return values


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadField("signals", f"{shown(name)} is {shown(value)}; it must be a number.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadField("signals", f"{shown(name)} is {shown(value)}; it must be a finite number.")
    return number


def _flag(item: Any, text: str) -> SuggestedFlag:
    if not isinstance(item, dict):
        raise BadField("suggested_flags", f"{shown(item)} is no flag; a flag is an object with a kind.")
    _refuse_unknown(item, FLAG_FIELDS)
    if item.get("kind") not in FLAG_KINDS:
        raise BadField("suggested_flags", f"its kind is {shown(item.get('kind'))}; it must be one of {', '.join(FLAG_KINDS)}.")
    severity = item.get("severity", 1)
    if isinstance(severity, bool) or not isinstance(severity, int) or not 0 <= severity <= HARDEST:
        raise BadField("suggested_flags", f"its severity is {shown(severity)}; it must be a whole number from 0 to {HARDEST}.")
    words = _words(item, text)
    if words is None and item["kind"] not in WITHOUT_WORDS:
        raise BadField("suggested_flags", f"a flag of kind {item['kind']} must be on words of the text; give text_start and text_end.")
    return SuggestedFlag(item["kind"], severity, optional_text(item, "comment") or "", words, _moment(item))


def _words(item: Mapping[str, Any], text: str) -> tuple[int, int] | None:
    start, end = item.get("text_start"), item.get("text_end")
    if start is None and end is None:
        return None
    whole = all(isinstance(place, int) and not isinstance(place, bool) for place in (start, end))
    if not whole or not 0 <= start < end <= len(text):  # type: ignore[operator]
        raise BadField("suggested_flags", f"its words are {shown(start)} to {shown(end)}; they must be places in the text of {len(text)} characters.")
    return start, end  # type: ignore[return-value]


def _moment(item: Mapping[str, Any]) -> tuple[float, float] | None:
    if item.get("start_s") is None and item.get("end_s") is None:
        return None
    start_s, end_s = (seconds("suggested_flags", item.get(name)) for name in ("start_s", "end_s"))
    if end_s < start_s:
        raise BadField("suggested_flags", f"its moment is from {start_s:g} s to {end_s:g} s; the end cannot come before the start.")
    return start_s, end_s


def _gold(given: Any) -> GoldDraft:
    if not isinstance(given, dict):
        raise BadField("gold", f"gold is {shown(given)}; it must be an object with a verdict.")
    _refuse_unknown(given, GOLD_FIELDS)
    if given.get("verdict") not in GOLD_VERDICTS:
        raise BadField("gold", f"its verdict is {shown(given.get('verdict'))}; it must be accept or reject.")
    kinds = given.get("flag_kinds") if given.get("flag_kinds") is not None else []
    if not isinstance(kinds, list) or not all(kind in FLAG_KINDS for kind in kinds):
        raise BadField("gold", f"its flag_kinds are {shown(kinds)}; they must be a list of {', '.join(FLAG_KINDS)}.")
    return GoldDraft(given["verdict"], tuple(kinds), optional_text(given, "reason") or "")


def _refuse_unknown(values: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := [name for name in values if name not in known]:
        raise BadField(unknown[0], f"{shown(unknown[0])} is no field of it; there are {', '.join(known)}.")


def _flag_values(flag: SuggestedFlag) -> dict[str, Any]:
    words, moment = flag.text or (None, None), flag.span or (None, None)
    values: dict[str, Any] = {"kind": flag.kind, "severity": flag.severity, "comment": flag.comment}
    return values | {"text_start": words[0], "text_end": words[1], "start_s": moment[0], "end_s": moment[1]}
