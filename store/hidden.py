"""Gold items and repeats: given out at seeded positions of a person's way through a batch, and in nothing told from the others.

Every claim asks the same questions of the database, whatever it then gives out.
"""

from dataclasses import dataclass

import sqlite_utils

from store.chances import chance, places

REPEAT_AFTER = 10  # positions that lie at least between an item and its return
LOOK_BACK = 30  # finals, the newest, among which one to ask again is looked for
GOLD_WINDOW = 64  # entries from the seeded place on, and before it, among which a gold item is looked for


@dataclass(frozen=True)
class Turn:
    """An annotator's next position in a batch."""

    batch_id: str
    seed: int
    gold_share: float
    repeat_share: float
    annotator: str
    position: int
    cursor: int


@dataclass(frozen=True)
class Given:
    """What is to be leased: a candidate and the round."""

    candidate_id: str
    round: int


def hidden_item(db: sqlite_utils.Database, turn: Turn) -> Given | None:
    """Return the gold item, or the item to ask again, that this position asks for; None when it asks for neither or there is none left."""
    if not turn.gold_share and not turn.repeat_share:
        return None
    gold, repeats = gold_left(db, turn, 1), _repeats(db, turn)
    if gold and turn.position in _gold_places(turn, turn.position):
        return Given(gold[0], 1)
    if repeats and turn.position in _repeat_places(turn, turn.position):
        return Given(repeats[int(chance(turn.seed, turn.annotator, "which repeat", turn.position) * len(repeats))], 2)
    return None


def items_until_done(turn: Turn, open_main: int, gold: int, most: int) -> int:
    """Return how many items, hidden ones included, the annotator gets until `open_main` main items are done; at most `most` are counted.

    `gold` items are left. A count of main items alone would tell when an item is none of them.
    """
    last = turn.position + most
    hidden = set(sorted(_gold_places(turn, last))[:gold]) | _repeat_places(turn, last)
    count = 0
    while open_main and count < most:
        open_main -= turn.position + count not in hidden
        count += 1
    return count


def gold_left(db: sqlite_utils.Database, turn: Turn, most: int = 2 * GOLD_WINDOW) -> list[str]:
    """Return at most so many gold items that the annotator has not had: those around a seeded place of the batch's gold."""
    if not turn.gold_share:
        return []
    bounds = "SELECT coalesce(min(rank), 0) AS low, coalesce(max(rank), 0) AS high FROM queue_entry WHERE batch_id = ? AND part = 'gold'"
    low, high = db.conn.execute(bounds, [turn.batch_id]).fetchone()
    start = low + int(chance(turn.seed, turn.annotator, "which gold", turn.position) * (high - low + 1))
    found = db.conn.execute(
        """SELECT g.candidate_id FROM (
             SELECT * FROM (SELECT candidate_id, watchable FROM queue_entry WHERE batch_id = :batch AND part = 'gold' AND rank >= :start
                            ORDER BY rank LIMIT :window)
             UNION ALL
             SELECT * FROM (SELECT candidate_id, watchable FROM queue_entry WHERE batch_id = :batch AND part = 'gold' AND rank < :start
                            ORDER BY rank DESC LIMIT :window)) g
           WHERE g.watchable = 1 AND NOT EXISTS (
             SELECT 1 FROM assignment a WHERE a.candidate_id = g.candidate_id AND a.annotator = :who AND a.round = 1 AND a.state <> 'released')
           LIMIT :most""",
        {"batch": turn.batch_id, "start": start, "window": GOLD_WINDOW, "who": turn.annotator, "most": most},
    )
    return [str(candidate_id) for (candidate_id,) in found]


def _repeats(db: sqlite_utils.Database, turn: Turn) -> list[str]:
    """Return the annotator's own final main items of the batch that may be asked again: far enough back, and not asked again yet."""
    if not turn.repeat_share:
        return []
    rows = db.conn.execute(
        """SELECT f.candidate_id, q.watchable = 1 AND NOT EXISTS (
             SELECT 1 FROM assignment r WHERE r.candidate_id = f.candidate_id AND r.annotator = :who AND r.round = 2 AND r.state <> 'released')
           FROM (SELECT candidate_id, rowid AS place FROM assignment WHERE annotator = :who AND state = 'final' AND round = 1
                 ORDER BY rowid DESC LIMIT :back) f
           CROSS JOIN queue_entry q ON q.candidate_id = f.candidate_id AND q.batch_id = :batch AND q.part = 'main'
           ORDER BY f.place DESC""",
        {"batch": turn.batch_id, "who": turn.annotator, "back": LOOK_BACK},
    ).fetchall()
    return [str(candidate_id) for candidate_id, may_return in rows[REPEAT_AFTER:] if may_return]


def _gold_places(turn: Turn, last: int) -> set[int]:
    return places(turn.position, last, turn.gold_share, turn.seed, turn.annotator, "gold")


def _repeat_places(turn: Turn, last: int) -> set[int]:
    return places(max(turn.position, REPEAT_AFTER + 1), last, turn.repeat_share, turn.seed, turn.annotator, "repeat")
