// What lies over the desk for a moment: dialogs in general, earlier items, and the choice between two versions of the same work.
import { button, el } from "./elements.js";

/** Show a dialog; a sticky one has no way out but the choices in it. */
export function showDialog(root, { id, title, sticky = false }, ...children) {
  const close = button({ class: "ew-small ew-close", "aria-label": "Close", on: { click: () => dialog.close() } }, "✕");
  const dialog = el("dialog", { class: "ew-dialog", id, "aria-label": title }, el("header", {}, el("h2", {}, title), !sticky && close), ...children);
  dialog.addEventListener("click", (event) => event.target === dialog && !sticky && dialog.close());
  dialog.addEventListener("cancel", (event) => sticky && event.preventDefault());
  // Browsers let a second Esc close what cannot be cancelled: without a choice it comes back.
  dialog.addEventListener("close", () => (sticky && !dialog.returnValue ? dialog.showModal() : dialog.remove()));
  root.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Show all items that were finished; `onOpen(assignmentId)` when one is chosen. */
export function showRecent(root, items, onOpen) {
  const written = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" });
  const list = items.map((item) => el("li", {}, button(
    { data: { assignment: item.assignment_id }, on: { click: () => { dialog.close(); onOpen(item.assignment_id); } } },
    el("b", {}, item.verdict ?? "open"), el("span", { dir: "auto" }, item.beginning), el("time", { datetime: item.finished_at }, written.format(new Date(item.finished_at))),
  )));
  const shown = list.length ? el("ul", { class: "ew-recent" }, ...list) : el("p", {}, "You have finished no item yet.");
  const dialog = showDialog(root, { id: "desk-recent", title: list.length ? `Earlier items (${list.length})` : "Earlier items" }, shown);
  return dialog;
}

/** Ask which of two versions of the same work to keep; `onChoose("mine" or "theirs")`. It cannot be closed without a choice. */
export function showStale(root, sentence, mine, theirs, onChoose) {
  const choose = (choice) => () => { dialog.close(choice); onChoose(choice); };
  const dialog = showDialog(
    root, { id: "desk-stale", title: "Two versions of your work", sticky: true }, el("p", {}, sentence),
    el("div", { class: "ew-versions" }, version("In this window", mine, button({ id: "desk-keep-mine", class: "ew-go", on: { click: choose("mine") } }, "Keep this one")),
      version("In the other window", theirs, button({ id: "desk-take-theirs", on: { click: choose("theirs") } }, "Take that one"))),
  );
  return dialog;
}

function version(title, work, chooser) {
  return el("section", {}, el("h3", {}, title), ...(work === null ? ["nothing yet"] : told(work)).map((line) => el("p", { dir: "auto" }, line)), chooser);
}

/** Return what a work says, in lines for a person to read. */
export function told(work) {
  const ratings = [work.factual_consistency, work.logical_coherence].map((rating) => rating ?? "none").join(" and ");
  return [
    `verdict: ${work.verdict ?? "none"}`, `ratings: ${ratings}`, `flags: ${work.flags.map((flag) => flag.quote || flag.comment || flag.kind).join("; ") || "none"}`,
    `left out: ${work.omission ?? "not said"}`, `claims: ${(work.ticks ?? []).map((tick) => tick.support.replace("_", " ")).join(", ") || "none ticked"}`, `note: ${work.note || "none"}`, `edited text: ${work.edited_text ?? "none"}`,
  ].map((line) => line.slice(0, 400));
}
