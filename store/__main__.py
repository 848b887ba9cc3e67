"""`python -m store backup FILE`, `check`, `replay [--check]`, `account NAME ROLE` and `invite ROLE`, each with `--data DIR`."""

import argparse
import getpass
import json
import sys
from pathlib import Path

from store.accounts import ROLES, add_account
from store.database import backup, check, existing_file, open_store
from store.errors import UserError
from store.invitations import MOST_DAYS, VALID_DAYS, invite, join_path
from store.replaying import check_replay, replay_all
from store.settings import default_data


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return 0, 1 when the check found something, or 2 with a sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.act(options))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _backup(options: argparse.Namespace) -> int:
    size = backup(options.data, options.file)
    sys.stdout.write(f"{options.file}: {size:,} bytes. Media and runs are plain files: copy {options.data} beside it.\n")
    return 0


def _check(options: argparse.Namespace) -> int:
    problems = check(options.data)
    sys.stdout.write("".join(f"{problem}\n" for problem in problems) or "No problem found: integrity, foreign keys, media digests.\n")
    return int(bool(problems))


def _replay(options: argparse.Namespace) -> int:
    existing_file(options.data)
    with open_store(options.data) as db:
        if not options.check:
            for thing in replay_all(db):
                sys.stdout.write("".join(json.dumps({"table": table, **row}, ensure_ascii=False) + "\n" for (table, _), row in thing.logged.items()))
            return 0
        found = check_replay(db)
    sys.stdout.write("".join(f"{difference}\n" for difference in found.differences))
    sys.stdout.write(f"{found.operations:,} operations, {found.rows:,} rows, {len(found.differences):,} differences.\n")
    return int(bool(found.differences))


def _account(options: argparse.Namespace) -> int:
    password = getpass.getpass(f"Password for {options.name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    with open_store(options.data) as db:
        account = add_account(db, options.name, password, options.role, options.change)
    sys.stdout.write(f"{account.name} may sign in as {account.role}.\n")
    return 0


def _invite(options: argparse.Namespace) -> int:
    with open_store(options.data) as db:
        token = invite(db, options.role, "command line", options.days)
    sys.stdout.write(f"{join_path(token)}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m store", description="Look after a data directory.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    given = {
        "backup": (_backup, "copy the database to FILE while others work"),
        "check": (_check, "look for damage; reads every media file"),
        "replay": (_replay, "print the rows that the log of operations amounts to, one JSON object a line"),
    }
    made = {name: commands.add_parser(name, help=text) for name, (_, text) in given.items()}
    made["backup"].add_argument("file", type=Path, metavar="FILE")
    made["replay"].add_argument("--check", action="store_true", help="compare them with the tables instead; exit 1 on a difference")
    made["account"] = commands.add_parser("account", help="make an account; the password is asked for, or read from standard input")
    made["account"].add_argument("name", metavar="NAME")
    made["account"].add_argument("role", choices=ROLES)
    made["account"].add_argument("--change", action="store_true", help="give an account that is there this password and role; its sessions end")
    made["invite"] = commands.add_parser("invite", help="print the path of a link with which one person makes an account; put the server's address before it")
    made["invite"].add_argument("role", choices=ROLES)
    made["invite"].add_argument("--days", type=int, default=VALID_DAYS, metavar="N", help=f"how long it is valid, 1 to {MOST_DAYS} (default: %(default)s)")
    for name, command in made.items():
        command.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="data directory (default: %(default)s)")
        command.set_defaults(act={"account": _account, "invite": _invite}[name] if name not in given else given[name][0])
    return parser


if __name__ == "__main__":
    sys.exit(main())
