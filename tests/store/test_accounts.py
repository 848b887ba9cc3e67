"""Accounts, their passwords, invitations, and how often a password may be tried."""

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import thread_time

import pytest
import sqlite_utils

from store.accounts import (
    add_account,
    count_accounts,
    find_account,
    fresh_hash,
    list_accounts,
    new_account,
    refuse_taken_name,
    remove_account,
    renew_hash,
    set_password_hash,
    set_role,
    verify,
)
from store.database import open_store, transaction
from store.errors import ConflictError, InputError, NotFoundError, RefusedError
from store.invitations import accept_invitation, digest_of, invite, list_open_invitations, open_invitation, revoke_invitation
from store.passwords import hash_password, is_outdated, is_password
from store.throttle import MOST_PER_ADDRESS, MOST_PER_NAME, WINDOW_S, TooManyTriesError, count_try, strike_off
from tests.curation.annotating import annotate
from tests.seeds import seed_project

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "long enough"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_store(tmp_path) as db:
        yield db


def scrypt_hash(password: str) -> str:
    """Return a hash as the first version made it."""
    salt = bytes(range(16))
    return f"{salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()}"


def keep_scrypt(db: sqlite_utils.Database, name: str, password: str) -> None:
    add_account(db, name, password, "annotator")
    set_password_hash(db, name, scrypt_hash(password))


def seconds_of(db: sqlite_utils.Database, name: str) -> float:
    """Return the least of several processor times that a wrong password takes; what else runs here does not count."""
    times = []
    for _ in range(5):
        begun = thread_time()
        verify(db, name, "wrong password")
        times.append(thread_time() - begun)
    return min(times)


# Passwords


def test_a_password_is_kept_as_argon2id_with_its_own_salt_and_costs() -> None:
    one, other = hash_password(PASSWORD), hash_password(PASSWORD)
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != other
    assert is_password(PASSWORD, one)
    assert not is_password("Long enough", one)
    assert not is_password("", one)
    assert not is_outdated(one)


@pytest.mark.parametrize("password", ["", "7 chars", "x" * 1025])
def test_a_password_that_is_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(InputError, match="Use 8 to 1,024"):
        hash_password(password)
    assert not is_password(password, hash_password(PASSWORD))


def test_a_hash_of_the_first_version_still_opens_and_is_made_anew(db: sqlite_utils.Database) -> None:
    keep_scrypt(db, "old", PASSWORD)
    assert verify(db, "old", "wrong password") is None
    account = verify(db, "old", PASSWORD)
    assert account is not None
    new_hash = fresh_hash(account, PASSWORD)
    assert new_hash is not None
    renewed = renew_hash(db, account, new_hash)
    assert renewed == verify(db, "old", PASSWORD)
    assert renewed.password_hash.startswith("$argon2id$")
    assert fresh_hash(renewed, PASSWORD) is None, "once is enough"


def test_making_a_hash_anew_overwrites_no_password_that_came_in_between(db: sqlite_utils.Database) -> None:
    keep_scrypt(db, "old", PASSWORD)
    account = verify(db, "old", PASSWORD)
    assert account is not None
    set_password_hash(db, "old", hash_password("another password"))
    assert renew_hash(db, account, hash_password(PASSWORD)) == account
    assert verify(db, "old", PASSWORD) is None


@pytest.mark.parametrize("with_old_hashes", [False, True])
def test_a_wrong_try_takes_as_long_for_a_name_that_nobody_has(db: sqlite_utils.Database, with_old_hashes: bool) -> None:
    add_account(db, "ann", PASSWORD, "admin")
    names = ["ann", "nobody"]
    if with_old_hashes:
        keep_scrypt(db, "old", PASSWORD)
        names.append("old")
    seconds_of(db, "nobody")
    times = [seconds_of(db, name) for name in names]
    assert max(times) < 1.5 * min(times) + 0.005, times
    assert min(times) > 0.005, "the control: a hash is really made"


# Accounts


def test_the_last_admin_can_be_neither_removed_nor_demoted(db: sqlite_utils.Database) -> None:
    add_account(db, "lea", PASSWORD, "admin")
    add_account(db, "ann", PASSWORD, "annotator")
    for act in (
        lambda: remove_account(db, "lea"),
        lambda: set_role(db, "lea", "adjudicator"),
        lambda: add_account(db, "lea", PASSWORD, "annotator", change=True),
    ):
        with pytest.raises(ConflictError, match="lea is the only admin"):
            act()
    set_role(db, "ann", "admin")
    set_role(db, "lea", "annotator")
    remove_account(db, "lea")
    assert [(account.name, account.role) for account in list_accounts(db)] == [("ann", "admin")], "the control: with two, one may go"


def test_two_admins_who_remove_each_other_at_once_leave_one(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        for name in ("ann", "lea"):
            add_account(db, name, PASSWORD, "admin")
    barrier, refused = threading.Barrier(2), []

    def remove(name: str) -> None:
        with open_store(tmp_path) as db:
            barrier.wait()
            try:
                remove_account(db, name)
            except ConflictError as error:
                refused.append(error)

    threads = [threading.Thread(target=remove, args=(name,)) for name in ("ann", "lea")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_store(tmp_path) as db:
        assert len(refused) == count_accounts(db) == 1


def test_what_somebody_did_stays_when_the_account_goes_and_nobody_new_can_take_the_name(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    add_account(db, "lea", PASSWORD, "admin")
    add_account(db, "ann", PASSWORD, "annotator")
    annotate(db, seeded.rationale, "ann", "accept")
    remove_account(db, "ann")
    assert find_account(db, "ann") is None
    assert [row["annotator"] for row in db.query("SELECT annotator FROM annotation")] == ["ann"]
    for name in ("ann", "Lea"):
        with pytest.raises(ConflictError, match="is taken"):
            refuse_taken_name(db, name)
    refuse_taken_name(db, "bo")
    add_account(db, "ann", PASSWORD, "annotator")  # an admin may, on the command line


def test_what_is_not_there_cannot_be_changed(db: sqlite_utils.Database) -> None:
    for act in (lambda: remove_account(db, "bo"), lambda: set_role(db, "bo", "admin"), lambda: set_password_hash(db, "bo", "hash")):
        with pytest.raises(NotFoundError, match="no account 'bo'"):
            act()
    with pytest.raises(InputError, match="annotator, adjudicator or admin"):
        set_role(db, "bo", "boss")


def test_a_name_is_one_however_its_letters_are_composed(db: sqlite_utils.Database) -> None:
    add_account(db, "Zoe\u0308 ", PASSWORD, "admin")
    assert verify(db, " Zo\u00eb", PASSWORD) == verify(db, "Zoe\u0308", PASSWORD) == find_account(db, "Zo\u00eb") is not None


# Invitations


def test_an_invitation_makes_one_account_once_and_its_token_is_not_kept(db: sqlite_utils.Database) -> None:
    add_account(db, "lea", PASSWORD, "admin")
    token = invite(db, "annotator", "lea")
    assert len(token) >= 43
    assert token not in str(list(db.query("SELECT * FROM invitation")))
    assert [one.token_sha256 for one in list_open_invitations(db)] == [digest_of(token)]
    accept_invitation(db, token, new_account("ann", PASSWORD, "annotator"))
    assert verify(db, "ann", PASSWORD).role == "annotator"  # type: ignore[union-attr]
    assert list_open_invitations(db) == []
    with pytest.raises(RefusedError, match="was used on"):
        accept_invitation(db, token, new_account("bo", PASSWORD, "annotator"))
    with pytest.raises(NotFoundError, match="used or taken back"):
        revoke_invitation(db, digest_of(token))
    assert find_account(db, "bo") is None


def test_an_invitation_says_what_is_wrong_with_it(db: sqlite_utils.Database) -> None:
    add_account(db, "lea", PASSWORD, "admin")
    token = invite(db, "annotator", "lea", 1)
    with pytest.raises(RefusedError, match="is for role annotator, not admin"):
        accept_invitation(db, token, new_account("ann", PASSWORD, "admin"))
    with pytest.raises(ConflictError, match="'LEA' is taken"):
        accept_invitation(db, token, new_account("LEA", PASSWORD, "annotator"))
    assert open_invitation(db, token).role == "annotator", "a try that failed does not use it up"
    db.execute("UPDATE invitation SET expires_at = '2020-01-01T00:00:00.000+00:00'")
    with pytest.raises(RefusedError, match="ended on 2020-01-01"):
        open_invitation(db, token)
    assert list_open_invitations(db) == []
    taken_back = invite(db, "admin", "lea")
    revoke_invitation(db, digest_of(taken_back))
    for unknown in (taken_back, "", token[:-1], digest_of(token)):
        with pytest.raises(NotFoundError, match="is not known"):
            open_invitation(db, unknown)


def test_an_invitation_that_cannot_be_is_refused(db: sqlite_utils.Database) -> None:
    for days in (0, -1, 91):
        with pytest.raises(InputError, match="Use 1 to 90"):
            invite(db, "admin", "lea", days)
    with pytest.raises(RefusedError, match="one for an admin"):
        invite(db, "annotator", "lea")
    assert open_invitation(db, invite(db, "admin", "lea")).role == "admin", "the first of all may be an admin's"


def test_of_many_who_use_one_link_at_once_one_gets_in(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        token = invite(db, "admin", "command line")
    accounts = [new_account(f"ann {i}", PASSWORD, "admin") for i in range(8)]
    barrier, refused = threading.Barrier(len(accounts)), []

    def join(account: object) -> None:
        with open_store(tmp_path) as db:
            barrier.wait()
            try:
                accept_invitation(db, token, account)  # type: ignore[arg-type]
            except RefusedError as error:
                refused.append(error)

    threads = [threading.Thread(target=join, args=(account,)) for account in accounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_store(tmp_path) as db:
        assert count_accounts(db) == 1
    assert len(refused) == len(accounts) - 1


def test_the_command_line_prints_a_path_that_works(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "store", "invite", *arguments, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)

    assert "one for an admin" in run("annotator").stderr
    told = re.fullmatch(r"/join\?token=(\S+)\n", run("admin", "--days", "3").stdout)
    assert told
    with open_store(tmp_path) as db:
        left = datetime.fromisoformat(open_invitation(db, told.group(1)).expires_at) - datetime.now(UTC)
    assert timedelta(days=2.9) < left < timedelta(days=3)


# How often a password may be tried


def tries(db: sqlite_utils.Database, name: str, address: str, many: int, at: datetime = NOON, known_here: bool = False) -> int:
    """Return how many of the tries were let through."""
    for done in range(many):
        try:
            count_try(db, name, address, known_here, at)
        except TooManyTriesError:
            return done
    return many


def test_five_failures_of_a_name_from_anywhere_and_the_sixth_waits_as_long_as_it_says(db: sqlite_utils.Database) -> None:
    assert sum(tries(db, "ann", f"10.0.0.{i}", 1, NOON + timedelta(minutes=i)) for i in range(9)) == MOST_PER_NAME
    assert tries(db, "bo", "10.0.0.1", 1) == 1, "the control: another name is free"
    with pytest.raises(TooManyTriesError, match="Wait 6 minutes") as waiting:
        count_try(db, "ann", "10.0.0.9", False, NOON + timedelta(minutes=9))
    after = NOON + timedelta(minutes=9, seconds=waiting.value.wait_s)
    assert tries(db, "ann", "10.0.0.9", 1, after - timedelta(seconds=2)) == 0
    assert tries(db, "ann", "10.0.0.9", 1, after) == 1


def test_thirty_failures_of_an_address_for_any_names_and_the_next_waits(db: sqlite_utils.Database) -> None:
    assert sum(tries(db, f"name {i}", "10.0.0.1", 1) for i in range(40)) == MOST_PER_ADDRESS
    assert tries(db, "new name", "10.0.0.2", 1) == 1, "the control: another address is free"


def test_what_is_refused_is_not_counted_so_that_the_wait_ends_while_somebody_keeps_trying(db: sqlite_utils.Database) -> None:
    tries(db, "ann", "10.0.0.1", MOST_PER_NAME)
    for minute in range(1, 15):
        assert tries(db, "ann", "10.0.0.1", 1, NOON + timedelta(minutes=minute)) == 0
    assert tries(db, "ann", "10.0.0.2", 1, NOON + timedelta(seconds=WINDOW_S)) == 1


def test_a_browser_that_knows_the_name_is_held_up_by_its_address_alone(db: sqlite_utils.Database) -> None:
    assert tries(db, "ann", "10.6.6.6", 100) == MOST_PER_NAME
    assert tries(db, "ann", "10.0.0.1", 100, known_here=True) == MOST_PER_ADDRESS
    assert tries(db, "ann", "10.0.0.2", 1) == 0, "the control: in another browser the name waits"


def test_a_right_password_and_a_new_one_clear_the_name(db: sqlite_utils.Database) -> None:
    add_account(db, "ann", PASSWORD, "admin")
    for clear in (lambda: strike_off(db, "ann"), lambda: set_password_hash(db, "ann", hash_password(PASSWORD))):
        assert tries(db, "ann", "10.0.0.1", 100) == MOST_PER_NAME
        clear()
        assert list(db.query("SELECT * FROM login_failure")) == []


def test_old_rows_go_as_new_ones_come(db: sqlite_utils.Database) -> None:
    for hour in range(50):
        assert tries(db, f"name {hour}", "10.0.0.1", 3, NOON + timedelta(hours=hour)) == 3
    assert len(list(db.query("SELECT * FROM login_failure"))) == 3


def test_many_tries_at_once_do_not_slip_through(tmp_path: Path) -> None:
    with open_store(tmp_path):
        pass
    let_in, barrier = [], threading.Barrier(12)

    def guess() -> None:
        with open_store(tmp_path) as db:
            barrier.wait()
            let_in.append(tries(db, "ann", "10.0.0.1", 1))

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(let_in) == MOST_PER_NAME


def test_a_try_that_was_refused_leaves_the_transaction_around_it_whole(db: sqlite_utils.Database) -> None:
    tries(db, "ann", "10.0.0.1", MOST_PER_NAME)
    with transaction(db):
        add_account(db, "bo", PASSWORD, "admin")
        with pytest.raises(TooManyTriesError):
            count_try(db, "ann", "10.0.0.1", False, NOON)
    assert find_account(db, "bo") is not None
