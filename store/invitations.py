"""Links that let one person make one account. Functions take `db` first. The token is shown once; only its digest is kept."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

import sqlite_utils

from store.accounts import ADMIN, check_role, count_accounts, refuse_taken_name
from store.database import transaction
from store.errors import InputError, NotFoundError, RefusedError
from store.records import Account, Invitation
from store.rows import as_record, as_row, utc_now

VALID_DAYS = 7
MOST_DAYS = 90
ASK = "Ask who sent it for a new one."


def invite(db: sqlite_utils.Database, role: str, made_by: str, valid_days: int = VALID_DAYS) -> str:
    """Keep an invitation for one person of this role; return the token that belongs into the link, which nothing can tell later.

    Raises InputError for an unknown role or for days that are not 1 to 90, RefusedError when the first account would be no admin.
    """
    check_role(role)
    if not 1 <= valid_days <= MOST_DAYS:
        raise InputError(f"An invitation cannot be valid for {valid_days} days. Use 1 to {MOST_DAYS}.")
    if role != ADMIN and not count_accounts(db):
        raise RefusedError(f"There are no accounts yet, and a first one of role {role} could invite nobody. Make the first invitation one for an admin.")
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    expires_at = (now + timedelta(days=valid_days)).isoformat(timespec="milliseconds")
    made = Invitation(digest_of(token), role, made_by, now.isoformat(timespec="milliseconds"), expires_at, None, None)
    db.table("invitation").insert(as_row(made))
    return token


def join_path(token: str) -> str:
    """Return the path of the link for a token; the address of the server stands before it."""
    return f"/join?token={token}"


def digest_of(token: str) -> str:
    """Return what is kept of a token. It is random and long, so a plain SHA-256 cannot be guessed back."""
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def open_invitation(db: sqlite_utils.Database, token: str) -> Invitation:
    """Return the invitation of a token. Raises NotFoundError when there is none, RefusedError when it is used or its time is over."""
    rows = list(db.query("SELECT * FROM invitation WHERE token_sha256 = ?", [digest_of(token)]))
    if not rows:
        raise NotFoundError(f"This invitation is not known: the link is incomplete, or it was taken back. {ASK}")
    invitation = as_record(Invitation, rows[0])
    if invitation.used_at is not None:
        raise RefusedError(f"This invitation was used on {invitation.used_at[:10]}. Sign in with the name and password that you chose then. Not you? {ASK}")
    if invitation.expires_at <= utc_now():
        raise RefusedError(f"This invitation ended on {invitation.expires_at[:10]}. {ASK}")
    return invitation


def accept_invitation(db: sqlite_utils.Database, token: str, account: Account) -> None:
    """Keep the account with the invitation's role and mark the invitation as used, both or neither.

    Raises what `open_invitation` raises, ConflictError for a name that is taken, RefusedError when the account has another role.
    """
    with transaction(db):
        invitation = open_invitation(db, token)
        if invitation.role != account.role:
            raise RefusedError(f"This invitation is for role {invitation.role}, not {account.role}. {ASK}")
        refuse_taken_name(db, account.name)
        db.table("account").insert(as_row(account))
        used = [account.name, utc_now(), invitation.token_sha256]
        db.conn.execute("UPDATE invitation SET used_by = ?, used_at = ? WHERE token_sha256 = ?", used)


def list_open_invitations(db: sqlite_utils.Database) -> list[Invitation]:
    """Return the invitations that somebody can still use, those that end first in front."""
    query = "SELECT * FROM invitation WHERE used_at IS NULL AND expires_at > ? ORDER BY expires_at"
    return [as_record(Invitation, row) for row in db.query(query, [utc_now()])]


def revoke_invitation(db: sqlite_utils.Database, token_sha256: str) -> None:
    """Take an invitation back that nobody has used. Raises NotFoundError when it is used or not there."""
    done = db.conn.execute("DELETE FROM invitation WHERE token_sha256 = ? AND used_at IS NULL", [token_sha256])
    if not done.rowcount:
        raise NotFoundError("This invitation was used or taken back meanwhile. Reload the page to see who is there.")
