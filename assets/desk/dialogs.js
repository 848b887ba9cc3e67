// What lies over the desk for a moment: keys, guidelines, earlier items, and the choice between two versions of the same work.
import { button, el, kbd } from "./elements.js";

/** Show a dialog; a sticky one has no way out but the choices in it. */
function show(root, { id, title, sticky = false }, ...children) {
  const close = button({ class: "ew-small ew-close", "aria-label": "Close", on: { click: () => dialog.close() } }, "✕");
  const dialog = el("dialog", { class: "ew-dialog", id, "aria-label": title }, el("header", {}, el("h2", {}, title), !sticky && close), ...children);
  dialog.addEventListener("click", (event) => event.target === dialog && !sticky && dialog.close());
  dialog.addEventListener("cancel", (event) => sticky && event.preventDefault());
  dialog.addEventListener("close", () => dialog.remove());
  root.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Show every key, by group, as the registry has them. */
export function showHelp(root, keys) {
  const groups = new Map();
  for (const key of keys) groups.set(key.group, [...(groups.get(key.group) ?? []), key]);
  const lists = [...groups].map(([name, members]) => el("section", {}, el("h3", {}, name), el("dl", {}, ...lines(members).flatMap(({ chords, what }) => [el("dt", {}, ...chords), el("dd", {}, what)]))));
  return show(root, { id: "desk-help", title: "Keys" }, el("p", { class: "dim" }, "Keys are silent while you type; Esc leaves a field."), el("div", { class: "ew-help" }, ...lists));
}

/** Put the keys that rate 1 to 5 on one line; all others have their own. */
function lines(members) {
  const rates = members.filter((key) => key.act === "rate");
  const rest = members.filter((key) => key.act !== "rate").map((key) => ({ chords: [kbd(key.chord)], what: key.what }));
  return rates.length ? [...rest, { chords: [kbd(rates[0].chord), "–", kbd(rates.at(-1).chord)], what: "rate: factual consistency first, then logical coherence" }] : rest;
}

/** Show the guidelines, a page of headings, paragraphs and lists. */
export function showGuide(root, text) {
  return show(root, { id: "desk-guide", title: "Guidelines" }, el("div", { class: "ew-guide" }, ...paragraphs(text)));
}

function paragraphs(text) {
  return text.trim().split(/\n{2,}/).slice(1).map((block) => {
    if (block.startsWith("## ")) return el("h3", {}, block.slice(3));
    if (!/^[-*|] /.test(block)) return el("p", {}, ...emphasis(block.replace(/\n/g, " ")));
    return el("ul", {}, ...block.split(/\n(?=[-*] )/).map((line) => el("li", {}, ...emphasis(line.slice(2).replace(/\n\s*/g, " ")))));
  });
}

function emphasis(line) {
  return line.split(/(\*\*[^*]+\*\*)/).filter(Boolean).map((part) => (part.startsWith("**") ? el("strong", {}, part.slice(2, -2)) : part));
}

/** Show all items that were finished; `onOpen(candidateId)` when one is chosen. */
export function showRecent(root, items, onOpen) {
  const written = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" });
  const list = items.map((item) => el("li", {}, button(
    { data: { candidate: item.candidate_id }, on: { click: () => { dialog.close(); onOpen(item.candidate_id); } } },
    el("b", {}, item.verdict ?? "open"), el("span", { dir: "auto" }, item.beginning), el("time", { datetime: item.finished_at }, written.format(new Date(item.finished_at))),
  )));
  const shown = list.length ? el("ul", { class: "ew-recent" }, ...list) : el("p", {}, "You have finished no item yet.");
  const dialog = show(root, { id: "desk-recent", title: list.length ? `Earlier items (${list.length})` : "Earlier items" }, shown);
  return dialog;
}

/** Ask which of two versions of the same work to keep; `onChoose("mine" or "theirs")`. It cannot be closed without a choice. */
export function showStale(root, sentence, mine, theirs, onChoose) {
  const choose = (choice) => () => { dialog.close(); onChoose(choice); };
  const dialog = show(
    root, { id: "desk-stale", title: "Two versions of your work", sticky: true }, el("p", {}, sentence),
    el("div", { class: "ew-versions" }, version("In this window", mine, button({ id: "desk-keep-mine", class: "ew-go", on: { click: choose("mine") } }, "Keep this one")),
      version("In the other window", theirs, button({ id: "desk-take-theirs", on: { click: choose("theirs") } }, "Take that one"))),
  );
  return dialog;
}

function version(title, work, chooser) {
  const told = work === null ? ["nothing yet"] : [
    `verdict: ${work.verdict ?? "none"}`, `flags: ${work.flags.map((flag) => flag.quote || flag.kind).join("; ") || "none"}`,
    `note: ${work.note || "none"}`, `edited text: ${work.edited_text ?? "none"}`,
  ];
  return el("section", {}, el("h3", {}, title), ...told.map((line) => el("p", { dir: "auto" }, line.slice(0, 400))), chooser);
}
