"""The People page: who has an account, in which role, and the invitations that are open."""

from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import sqlite_utils

from store.accounts import ROLES, count_finished, list_accounts, remove_account, set_password_hash, set_role
from store.context import Context
from store.errors import InputError
from store.invitations import MOST_DAYS, VALID_DAYS, invite, join_path, list_open_invitations, revoke_invitation
from store.passwords import hash_password
from store.records import Account, Invitation

CSS = """
font: 14px/1.5 system-ui, sans-serif; color: var(--body-text-color);
table { width: 100%; margin: 0; border: 0; border-collapse: collapse; font-variant-numeric: tabular-nums; }
tr { border: 0; }
th, td { padding: 5px 10px; border: 0; border-bottom: 1px solid var(--border-color-primary); text-align: left; }
p { margin: 8px 0; max-width: 110ch; }
"""
NOBODY = (
    "Nobody has an account yet: on this machine a name is enough, and everybody is an admin. Make an invitation for an admin and open its link "
    "yourself; from then on everybody needs an account, and other machines can be served with --host."
)
ASK_BEFORE_REMOVING = """
(name) => {
    const what = `Everything ${name} did stays. ${name} is signed out at once, and nobody new can take the name.`;
    return name && !confirm(`Remove the account of ${name}? ${what}`) ? "" : name;
}
"""


def build(context: Context) -> None:
    """Put accounts and invitations into the current Gradio page."""
    gr.Markdown("## People", elem_id="people-title")
    people = gr.HTML(css_template=CSS, elem_id="people-list")
    with gr.Row(elem_classes="ew-acts"):
        name = gr.Dropdown([], label="Person", allow_custom_value=True, elem_id="people-name", scale=2)
        role = gr.Dropdown(list(ROLES), value=ROLES[0], label="Role", elem_id="people-role", scale=2)
        change = gr.Button("Change role", elem_id="people-change", size="md", scale=1)
        password = gr.Textbox(label="New password", type="password", elem_id="people-password", scale=2)
        renew = gr.Button("Set password", elem_id="people-renew", size="md", scale=1)
        remove = gr.Button("Remove", variant="stop", elem_id="people-remove", size="md", scale=1)
    gr.Markdown("## Invitations")
    with gr.Row(elem_classes="ew-acts"):
        invited = gr.Dropdown(list(ROLES), value=ROLES[0], label="Role", elem_id="people-invited-role", scale=2)
        days = gr.Number(VALID_DAYS, label="Valid for days", precision=0, minimum=1, maximum=MOST_DAYS, elem_id="people-days", scale=1)
        make = gr.Button("Invite", variant="primary", elem_id="people-invite", size="md", scale=1)
        link = gr.Textbox(label="Link for one person, shown once", interactive=False, buttons=["copy"], elem_id="people-link", scale=4)
    invitations = gr.HTML(css_template=CSS, elem_id="people-invitations")
    with gr.Row(elem_classes="ew-acts"):
        open_one = gr.Dropdown([], label="Open invitation", allow_custom_value=True, elem_id="people-invitation", scale=4)
        revoke = gr.Button("Take back", elem_id="people-revoke", size="md", scale=1)
    shown = [people, name, invitations, open_one]

    def show_people() -> list[Any]:
        with context.open() as db:
            return _show(db)

    def change_role(name: str | None, role: str) -> list[Any]:
        with context.open() as db:
            set_role(db, _chosen(name, "person"), role)
            return _show(db)

    def give_password(name: str | None, password: str) -> list[Any]:
        chosen, new_hash = _chosen(name, "person"), hash_password(password)
        with context.open() as db:
            set_password_hash(db, chosen, new_hash)
        gr.Info(f"{escape(chosen)} has a new password, and is signed out everywhere. Tell it by a safe way.")
        return [""]

    def remove_person(name: str | None) -> list[Any]:
        with context.open() as db:
            if name != "":  # what the browser sends when the person at the screen thought better of it
                remove_account(db, _chosen(name, "person"))
            return _show(db)

    def make_invitation(role: str, days: float | None, request: gr.Request) -> list[Any]:
        with context.open() as db:
            token = invite(db, role, str(request.username), int(days or 0))
            return [_address(request) + join_path(token), *_show(db)]

    def take_back(token_sha256: str | None) -> list[Any]:
        with context.open() as db:
            revoke_invitation(db, _chosen(token_sha256, "invitation"))
            return _show(db)

    gr.on(None, context.handler(show_people), outputs=shown, show_progress="hidden")
    change.click(context.handler(change_role), [name, role], shown, show_progress="hidden")
    renew.click(context.handler(give_password), [name, password], [password], show_progress="hidden")
    remove.click(context.handler(remove_person), [name], shown, js=ASK_BEFORE_REMOVING, show_progress="hidden")
    make.click(context.handler(make_invitation), [invited, days], [link, *shown], show_progress="hidden")
    revoke.click(context.handler(take_back), [open_one], shown, show_progress="hidden")


def people_html(accounts: Sequence[Account], finished: dict[str, int]) -> str:
    """Return the table of accounts with how many items each has finished, or what to do when there is none."""
    if not accounts:
        return f"<p>{NOBODY}</p>"
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Name", "Role", "Items finished", "Since"))
    rows = [
        f'<tr><th scope="row">{escape(one.name)}</th><td>{one.role}</td><td>{finished.get(one.name, 0):,}</td><td>{one.created_at[:10]}</td></tr>'
        for one in accounts
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def invitations_html(invitations: Sequence[Invitation]) -> str:
    """Return the table of open invitations."""
    if not invitations:
        return "<p>No invitation is open.</p>"
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Role", "Made by", "Made", "Ends"))
    rows = [
        f"<tr><td>{one.role}</td><td>{escape(one.made_by)}</td><td>{_minute(one.made_at)}</td><td>{_minute(one.expires_at)}</td></tr>" for one in invitations
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _show(db: sqlite_utils.Database) -> list[Any]:
    accounts, invitations = list_accounts(db), list_open_invitations(db)
    choices = [(f"{one.role}, made by {one.made_by}, ends {_minute(one.expires_at)}", one.token_sha256) for one in invitations]
    names = gr.Dropdown([account.name for account in accounts], value=None)
    return [people_html(accounts, count_finished(db)), names, invitations_html(invitations), gr.Dropdown(choices, value=None)]


def _chosen(value: str | None, what: str) -> str:
    if not value:
        raise InputError(f"No {what} is chosen. Choose one in the list first.")
    return value


def _address(request: gr.Request) -> str:
    """Return the address under which the person at the screen reaches the app; the gate has seen that it is ours."""
    origin = urlsplit(request.headers.get("origin", ""))
    return f"{origin.scheme}://{origin.netloc}" if origin.netloc else ""


def _minute(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"
