"""Frozen, hashed datasets on disk: rows, datasheet and, last, the manifest."""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlite_utils

from curation.curating import TRAINED_KINDS, AcceptRule, accepted_rows, pair_rows, question_rows
from curation.pair_weights import FORMULA
from curation.pairing import Evidence
from curation.selecting import Row, Selection
from curation.splits import HELD_OUT
from curation.study.agreement import AgreementRow, agreement_table
from store.curated import add_set, list_sets
from store.database import open_store, transaction
from store.errors import InputError, StorageError
from store.pairs import ORIGINS, list_pairs
from store.records import CuratedSet
from store.row_words import KINDS, right_option
from store.rows import digest_id, utc_now

FOLDER = "exports"
LONGEST_NAME = 80
HOW_TO_FILL = {
    "sft": "Accept texts on the Annotate page (a strict majority must accept), or edit them; then freeze again.",
    "dpo": "Accept proposed pairs or choose side by side on the Pairs page; then freeze again.",
    "questions": "Import questions with options and their answers about clips in the validation or test split; then freeze again.",
}
PARTS = {"sft": KINDS, "dpo": ORIGINS, "questions": ()}


def freeze_set(data: Path, kind: str, name: str, parts: Sequence[str] = ()) -> CuratedSet:
    """Freeze what is accepted now as a curated set of kind "sft" or "dpo", or the held-out "questions"; the same rows give the set that is there.

    Of an SFT set `parts` are kinds of texts (none named: narratives and rationales), with "answer" every QA pair as the data set gives it; of a
    DPO set they are origins of pairs (none named: all).
    Raises InputError for another kind, a bad name or an empty set, StorageError when the disk refuses.
    """
    clean = _check_name(name)
    with open_store(data) as db:
        selection, rule = _select(db, kind, tuple(parts))
        _refuse_empty(selection, HOW_TO_FILL[kind])
        content = _as_jsonl((question_json if kind == "questions" else row_json)(row) for row in selection.rows)
        sha256 = hashlib.sha256(content).hexdigest()
        set_id = digest_id("curated set", kind, sha256)
        made = CuratedSet(set_id, clean, kind, sha256, len(selection.rows), json.dumps(rule), f"{FOLDER}/{set_id}", utc_now())
        if whole := _whole(db, data, made):
            return whole
        made = _known(db, made) or made
        files = _files(made, selection, content, agreement_table(db))
        # Written before the transaction, so that nobody waits for the disk; put in its place inside it, so that two who freeze at once take turns.
        with _storage_errors(data / made.directory), _written(data / FOLDER, files) as folder, transaction(db):
            if whole := _whole(db, data, made):
                return whole
            _put_in_place(folder, data / made.directory)
            if _known(db, made) is None:
                add_set(db, made)
    return made


def export_pairs_jsonl(data: Path, state: str = "accepted") -> Path:
    """Write the pairs in `state` as rows for preference training, each with origins and evidence; return the file.

    Raises InputError when there are none, StorageError when the disk refuses.
    """
    with open_store(data) as db:
        selection = pair_rows(db, state)
        _refuse_empty(selection, HOW_TO_FILL["dpo"])
        evidence = {pair.id: asdict(Evidence.from_json(pair.evidence)) for pair in list_pairs(db, state)}
    path = data / FOLDER / f"pairs-{state}.jsonl"
    write_file(path, _as_jsonl(_with_evidence(row, evidence) for row in selection.rows))
    return path


def row_json(row: Row) -> dict[str, object]:
    """Return the row as JSON data: TRL's conversational prompt-completion or preference format, and where it comes from."""
    replies = {"completion": row.reply} if row.rejected is None else {"chosen": row.reply, "rejected": row.rejected}
    return {
        "id": row.id,
        "split": row.split,
        "kind": row.kind,
        **_shown(row),
        "prompt": [{"role": "user", "content": row.prompt}],
        **{name: [{"role": "assistant", "content": text}] for name, text in replies.items()},
        **({} if row.rejected is None else {"weight": row.weight, "origin": row.origin}),
        "source": row.source,
    }


def question_json(row: Row) -> dict[str, object]:
    """Return the multiple-choice question of a row as JSON data, under the id of its QA pair; `answer` numbers the right option."""
    assert row.qa is not None, "question_rows takes no row without a question"
    asked = {"prompt": row.prompt, "question": row.qa.question.strip(), "options": row.qa.options, "answer": right_option(row.qa)}
    return {"id": row.qa.id, "split": row.split, "type": row.qa.question_type, **_shown(row), **asked}


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file or none, and replace the one that is there. Raises StorageError when the disk refuses."""
    with _storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as stream:
                _pour(stream.fileno(), content)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)


def datasheet(made: CuratedSet, selection: Selection, agreement: Sequence[AgreementRow]) -> str:
    """Return what the set holds, by which rule, and how far the annotators behind it agree, as Markdown."""
    rows = selection.rows
    clips = len({row.clip_id for row in rows})
    lines = [
        f"# {_cell(made.name)}",
        "",
        f"Curated set {made.id}, kind {made.kind}, frozen at {made.created_at}: {len(rows)} rows about {clips} clips.",
        f"SHA-256 of rows.jsonl: {made.sha256}",
        f"Rule: `{made.rule}`",
        "",
        "## Rows",
        "",
        *_table(("split", "kind", "rows"), [(*pair, str(n)) for pair, n in sorted(Counter((row.split, row.kind) for row in rows).items())]),
        "",
        "The split goes by source video: clips that share a group or a file are in one split only.",
        *_behind(made.kind, rows),
        "",
        "## Left out",
        "",
        *(_table(("reason", "rows"), [(reason, str(n)) for reason, n in selection.left_out.items()]) if selection.left_out else ["Nothing."]),
        "",
        "## Agreement of all annotators, over all final annotations at that moment",
        "",
        *_table(("measure", "items", "with two or more", "raters", "raw agreement", "Krippendorff's alpha"), [_agreement_cells(row) for row in agreement]),
    ]
    return "\n".join(lines) + "\n"


def _select(db: sqlite_utils.Database, kind: str, parts: tuple[str, ...]) -> tuple[Selection, dict[str, Any]]:
    """Return the rows of a set of this kind, and the rule that chose them. Raises InputError for a kind or part that is not known."""
    if kind not in HOW_TO_FILL:
        raise InputError(f"The kind {kind!r} is not known. Use {', '.join(HOW_TO_FILL)}.")
    unknown = [part for part in parts if part not in PARTS[kind]]
    if unknown:
        raise InputError(f"A set of the kind {kind} has no part {unknown[0]!r}. Known are: {', '.join(PARTS[kind]) or 'none'}.")
    if kind == "dpo":
        return pair_rows(db, "accepted", parts or ORIGINS), {"state": "accepted", **({"origins": parts} if parts else {})}
    if kind == "questions":
        return question_rows(db), {"splits": HELD_OUT, "least_options": 2}
    kinds = parts or TRAINED_KINDS
    rule = AcceptRule(kinds=tuple(name for name in KINDS if name in kinds and name != "answer"), given_answers="answer" in kinds)
    return accepted_rows(db, rule), asdict(rule)


def _shown(row: Row) -> dict[str, object]:
    return {"clip": {"id": row.clip_id, "digest": row.digest, "start_s": row.start_s, "end_s": row.end_s}, "context": row.context}


def _behind(kind: str, rows: Sequence[Row]) -> list[str]:
    """Return the sentences that say who stands behind the rows of a set of this kind."""
    if kind == "questions":
        types = Counter(row.qa.question_type or "no type given" for row in rows if row.qa)
        told = ["Questions of the data set with its answers, as they were imported: nobody judged them. They are for measuring, never for training.", ""]
        return [*told, *_table(("question type", "questions"), [(name, str(n)) for name, n in sorted(types.items())])]
    decided, given = sum(bool(row.source["decision_ids"]) for row in rows), sum(row.source.get("candidate_id", "") is None for row in rows)
    lines = [f"An adjudicator's decision stands in place of votes behind {decided} of the {len(rows)} rows; their `source` names it under decision_ids."]
    if given:
        lines.append(f"{given} rows of the kind answer are QA pairs as the data set gives them: nobody judged them.")
    if kind == "dpo":
        equal = sum(row.weight == 1 for row in rows)
        lines.append(f"Weight of a pair: {FORMULA}. {equal} of the {len(rows)} rows weigh 1, as do all whose severity or votes on both texts are not known.")
    return lines


def _manifest(made: CuratedSet, selection: Selection) -> dict[str, object]:
    rows = selection.rows
    return {
        "id": made.id,
        "name": made.name,
        "kind": made.kind,
        "rows": len(rows),
        "rows_sha256": made.sha256,
        "splits": dict(sorted(Counter(row.split for row in rows).items())),
        "kinds": dict(sorted(Counter(row.kind for row in rows).items())),
        "rule": json.loads(made.rule),
        "prompts": dict(selection.prompts),
        "left_out": dict(selection.left_out),
        "created_at": made.created_at,
    }


def _known(db: sqlite_utils.Database, made: CuratedSet) -> CuratedSet | None:
    return next((one for one in list_sets(db, made.kind) if one.id == made.id), None)


def _whole(db: sqlite_utils.Database, data: Path, made: CuratedSet) -> CuratedSet | None:
    """Return the set of the same rows that is kept already, when its folder is whole too."""
    known = _known(db, made)
    return known if known and _is_whole(data / known.directory, known.sha256) else None


def _files(made: CuratedSet, selection: Selection, rows: bytes, agreement: Sequence[AgreementRow]) -> dict[str, bytes]:
    """Return the files of the set's folder by name, the manifest last."""
    sheet = datasheet(made, selection, agreement)
    manifest = json.dumps(_manifest(made, selection), indent=1, ensure_ascii=False)
    return {"rows.jsonl": rows, "datasheet.md": sheet.encode("utf-8"), "manifest.json": manifest.encode("utf-8")}


@contextmanager
def _written(parent: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Yield a folder under `parent` in which the files lie, the last of them written last; what is left of it goes afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".freezing-") as scratch:
        folder = Path(scratch) / "set"
        folder.mkdir()
        for name, content in files.items():
            with (folder / name).open("wb") as stream:
                _pour(stream.fileno(), content)
        yield folder


def _put_in_place(folder: Path, target: Path) -> None:
    """Rename `folder` to `target`; what stood there is not whole, or no row names it, and goes the way of `folder`'s parent."""
    if target.exists():
        target.rename(folder.parent / "old")
    folder.rename(target)


def _is_whole(folder: Path, sha256: str) -> bool:
    try:
        rows = (folder / "rows.jsonl").read_bytes()
        return (folder / "manifest.json").is_file() and hashlib.sha256(rows).hexdigest() == sha256
    except FileNotFoundError:
        return False


def _pour(handle: int, content: bytes) -> None:
    """Write all of `content` and wait until the disk has it."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]
    os.fsync(handle)


def _as_jsonl(rows: Iterator[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode("utf-8")


def _with_evidence(row: Row, evidence: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    return {**row_json(row), "origins": row.source["origins"], "evidence": [evidence[pair_id] for pair_id in row.source["pair_ids"]]}


def _refuse_empty(selection: Selection, way_out: str) -> None:
    if selection.rows:
        return
    reasons = "; ".join(f"{n} because {reason}" for reason, n in selection.left_out.items())
    raise InputError(f"There is nothing to write: no row is accepted{f' (left out: {reasons})' if reasons else ''}. {way_out}")


def _check_name(name: str) -> str:
    clean = name.strip()
    if not clean or len(clean) > LONGEST_NAME or not clean.isprintable():
        raise InputError(f"The name {name[:LONGEST_NAME]!r} is not usable. Use 1 to {LONGEST_NAME} printable characters.")
    return clean


def _agreement_cells(row: AgreementRow) -> tuple[str, ...]:
    raw = "undefined" if row.raw_agreement is None else f"{row.raw_agreement:.3f} (n = {row.n_pairs} pairs)"
    alpha = row.reason if row.alpha is None else f"{row.alpha:.3f}"
    if row.alpha_low is not None and row.alpha_high is not None:
        alpha = f"{alpha} (95 %: {row.alpha_low:.3f} to {row.alpha_high:.3f})"
    return (f"{row.name} ({row.level})", str(row.n_items), str(row.n_pairable_items), str(row.n_raters), raw, alpha or "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in (head, ["---"] * len(head), *rows)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}. Make room or rights in {path.parent}, then try again.") from error
