"""`python -m store backup FILE`, `check` and `account NAME ROLE`, each with `--data DIR`."""

import argparse
import getpass
import sys
from pathlib import Path

from store.accounts import add_account
from store.database import backup, check, open_store
from store.errors import UserError
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


def _account(options: argparse.Namespace) -> int:
    password = getpass.getpass(f"Password for {options.name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    with open_store(options.data) as db:
        account = add_account(db, options.name, password, options.role, options.change)
    sys.stdout.write(f"{account.name} may sign in as {account.role}.\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m store", description="Look after a data directory.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    given = {"backup": (_backup, "copy the database to FILE while others work"), "check": (_check, "look for damage; reads every media file")}
    made = {name: commands.add_parser(name, help=text) for name, (_, text) in given.items()}
    made["backup"].add_argument("file", type=Path, metavar="FILE")
    made["account"] = commands.add_parser("account", help="make an account; the password is asked for, or read from standard input")
    made["account"].add_argument("name", metavar="NAME")
    made["account"].add_argument("role", choices=("annotator", "lead"))
    made["account"].add_argument("--change", action="store_true", help="give an account that is there this password and role; its sessions end")
    for name, command in made.items():
        command.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="data directory (default: %(default)s)")
        command.set_defaults(act=_account if name == "account" else given[name][0])
    return parser


if __name__ == "__main__":
    sys.exit(main())
