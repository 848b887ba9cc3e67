// What lies over the page for a moment: the list of what waits and what was decided, and the questions on the guidelines.
import { ask } from "../desk/api.js";
import { showDialog } from "../desk/dialogs.js";
import { button, el, newId } from "../desk/elements.js";
import { composes } from "../desk/keys.js";

const LONGEST_ANSWER = 2000; // the server has the same limit

/** Show what waits, the worst first, and what was decided; `onOpen(candidateId)` when one is chosen. */
export function showList(root, { waiting, count, decided }, shownId, onOpen) {
  const open = (id) => () => { dialog.close(); onOpen(id); };
  const rows = waiting.map((one) => row(one, shownId, open(one.candidate_id), verdictsOf(one), el("span", { class: "adj-score" }, scoreOf(one.disagreement)), one.yours && el("span", { class: "adj-you" }, "yours")));
  const done = decided.map((one) => row(one, shownId, open(one.candidate_id), one.verdict + (one.overrides ? " (over the majority)" : ""), el("span", { class: "dim" }, `${one.adjudicator}, ${moment(one.decided_at)}`)));
  const dialog = showDialog(
    root, { id: "adj-list", title: "Disputed texts" },
    el("h3", {}, `Waiting, the worst first (${count})`), rows.length ? el("ul", { class: "adj-rows", id: "adj-waiting" }, ...rows) : el("p", {}, "Nothing waits: where two people judged a text, they agree or it was decided."),
    count > rows.length && el("p", { class: "dim" }, `The first ${rows.length} are listed.`),
    el("h3", {}, `Decided (${decided.length})`), done.length ? el("ul", { class: "adj-rows", id: "adj-decided" }, ...done) : el("p", {}, "Nothing yet."),
  );
  walkable(dialog);
  return dialog;
}

/** Show the questions on the guidelines, the open ones first; `onSettle(issue, answer)`, `onOpen(candidateId)`, `onAsk(question)`. */
export function showQuestions(root, issues, { onSettle, onOpen, onAsk }) {
  const own = el("textarea", { id: "adj-question", rows: "1", dir: "auto", maxlength: LONGEST_ANSWER, "aria-label": "A question of your own", placeholder: "A question that the guidelines leave open" });
  const send = () => own.value.trim() && onAsk(own.value.trim());
  const dialog = showDialog(
    root, { id: "adj-questions", title: "Questions on the guidelines" },
    el("p", { class: "dim" }, "An answer stands in everybody's guidelines. Enter sends it, Shift+Enter begins a line. Who asked is not shown."),
    issues.length ? el("ul", { class: "adj-issues" }, ...issues.map((issue) => issueRow(issue, onSettle, (id) => { dialog.close(); onOpen(id); }))) : el("p", {}, "Nobody asked yet. Annotators ask from their guidelines, and a note can be made a question."),
    el("div", { class: "adj-ask-own" }, own, button({ id: "adj-ask-own", on: { click: send } }, "Ask")),
  );
  onEnter(own, send);
  (dialog.querySelector(".adj-issues .open textarea") ?? own).focus();
  return dialog;
}

/** Fetch something for a list; return it, or null after `say` told why not. */
export async function fetchList(path, say) {
  const { status, body } = await ask(`/api/adjudication/${path}`);
  if (status === 200) return body;
  say(body.error);
  return null;
}

/** Return in a few words how far people disagree. */
export function scoreOf({ verdicts, flags, ratings }) {
  const told = [verdicts > 0 && `split ${verdicts.toFixed(2)}`, flags > 0 && `${flags} flag${flags > 1 ? "s" : ""} disputed`, ratings > 0 && `ratings ${ratings} apart`];
  return told.filter(Boolean).join(" · ");
}

function verdictsOf({ verdicts }) {
  return verdicts.map(([verdict, count]) => `${count} ${verdict}`).join(", ");
}

function row(one, shownId, open, ...told) {
  return el("li", {}, button(
    { data: { candidate: one.candidate_id }, "aria-current": one.candidate_id === shownId ? "true" : null, on: { click: open } },
    el("b", {}, told[0]), el("span", { class: "adj-beginning", dir: "auto" }, one.beginning), ...told.slice(1),
  ));
}

function issueRow(issue, onSettle, onOpen) {
  const answer = el("textarea", { rows: "1", dir: "auto", maxlength: LONGEST_ANSWER, "aria-label": `Answer to: ${issue.question}`, placeholder: "Answer" });
  answer.value = issue.answer ?? "";
  const settle = () => {
    const written = answer.value.trim();
    if (!written || written === issue.answer) return;
    onSettle(issue, written);
    issue.answer = written;
    send.textContent = "Sent ✓";
    row.classList.remove("open");
    row.parentElement.querySelector(".open textarea")?.focus();
  };
  const send = button({ class: "ew-go", on: { click: settle } }, issue.answer === null ? "Answer" : "Change the answer");
  onEnter(answer, settle);
  const row = el(
    "li", { class: issue.answer === null ? "open" : "", data: { issue: issue.id } },
    el("p", { class: "adj-asked", dir: "auto" }, issue.question),
    el("p", { class: "dim" }, `asked ${moment(issue.asked_at)}`, issue.answered_by && `, answered by ${issue.answered_by} ${moment(issue.answered_at)}`),
    issue.candidate_id && el("p", {}, button({ class: "ew-link", title: "Open the text that raised it", on: { click: () => onOpen(issue.candidate_id) } }, `“${issue.beginning} …”`)),
    el("div", { class: "adj-answer" }, answer, send),
  );
  return row;
}

/** Return an id for an operation and what it says. */
export function operation(said) {
  return { id: newId(), ...said };
}

/** Let the arrow keys walk through the buttons of a list, and begin at the one that is shown. */
function walkable(dialog) {
  const rows = [...dialog.querySelectorAll(".adj-rows button")];
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || rows.length === 0) return;
    event.preventDefault();
    rows[(rows.indexOf(document.activeElement) + step + rows.length) % rows.length].focus();
  });
  (rows.find((one) => one.getAttribute("aria-current")) ?? rows[0])?.focus();
}

function onEnter(field, act) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || composes(event)) return;
    event.preventDefault();
    if (!event.repeat) act();
  });
}

function moment(at) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" }).format(new Date(at));
}
