"""Batches that a model's texts wait in: their names do not tell who wrote, and texts of several writers lie mixed in them."""

from collections.abc import Collection

import sqlite_utils

from curation.batching import LONGEST_NAME, MOST_WANTED
from store.batches import add_batch, list_batches
from store.errors import ConflictError, InputError
from store.records import Batch
from store.rows import digest_id, utc_now


def check_text_batch(db: sqlite_utils.Database, batch_name: str, wanted: int, telling: Collection[str]) -> str:
    """Return the name without the blanks around it; nothing is written.

    Raises InputError for a name that is none or has one of the `telling` words in it, or a number of annotations that cannot be; ConflictError
    when the batch of this name is closed.
    """
    name = batch_name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(f"The name {batch_name[:LONGEST_NAME]!r} is not usable. Use 1 to {LONGEST_NAME} printable characters.")
    told = [one for one in telling if one and one.lower() in name.lower()]
    if told:
        raise InputError(f"The batch's name {name!r} would tell who wrote its texts ({told[0]!r}). Choose one that does not.")
    if not 1 <= wanted <= MOST_WANTED:
        raise InputError(f"The number of annotations of each text is {wanted}, and must lie between 1 and {MOST_WANTED}.")
    found = batch_named(db, name)
    if found and found.state != "open":
        raise ConflictError(f"The batch {name!r} is closed, so nobody would be given these texts. Open it, or choose another name.")
    return name


def batch_named(db: sqlite_utils.Database, name: str) -> Batch | None:
    """Return the batch of this name, or None."""
    return next((one for one in list_batches(db) if one.name == name), None)


def text_batch(db: sqlite_utils.Database, name: str, wanted: int, made_by: str) -> Batch:
    """Return the batch of this name; when there is none it is made: open to all and in random order, so that texts of several writers lie mixed."""
    found = batch_named(db, name)
    if found:
        return found
    made_at, shares = utc_now(), {"scratch_share": 0.0, "gold_share": 0.0, "repeat_share": 0.0}
    batch = Batch(
        digest_id("batch", name, made_at), name, wanted, "random", None, 0, **shares, blind_first=False, open_to_all=True, state="open",
        created_by=made_by, created_at=made_at,
    )  # fmt: skip
    add_batch(db, batch, ())
    return batch
