// The desk's screen: every part in its place. It decides nothing; `desk.js` wires it.
import { button, el, hinted, kbd } from "./elements.js";
import { flagButtons } from "./flags.js";
import { SPEEDS } from "./player.js";
import { LONGEST_TEXT } from "./work.js";

const KIND_NAMES = { narrative: "Narrative", rationale: "Rationale", answer: "Answer" };
const KIND_HINTS = { narrative: "of the whole clip", rationale: "for the given answer", answer: "to the question" };

/** Return the screen's parts by name, `root` among them. `acts` are the desk's acts, the same that keys reach. */
export function buildScreen(taxonomy, acts, { player, timeline, text, flags, verdict, notices, claims, blind }) {
  const parts = {
    progress: el("progress", { id: "desk-progress", max: "1", value: "0", "aria-label": "Items done" }),
    count: el("span", { id: "desk-count", class: "dim" }),
    saved: el("span", { id: "desk-saved", role: "status", data: { state: "unknown" } }),
    again: el("span", { id: "desk-again", class: "ew-again", hidden: true }, "You finished this item before. Submit to change it."),
    back: button({ id: "desk-back", class: "ew-link", hidden: true, on: { click: () => acts.backToQueue() } }, "Back to the queue"),
    stamp: el("div", { class: "ew-stamp", id: "desk-stamp" }),
    problem: el("p", { class: "ew-problem", id: "desk-problem", role: "alert", hidden: true }),
    play: button({ id: "desk-play", class: "ew-play", "aria-label": "Play or pause", on: { click: () => acts.togglePlay() } }, "▶"),
    loop: button({ id: "desk-loop", "aria-pressed": "false", title: "Loop the selected flag, the marks, or what was played last", on: { click: () => acts.toggleLoop() } }, "Loop", kbd("l")),
    speed: el("output", { id: "desk-speed", "aria-label": "Speed" }, "1×"),
    evidence: button({ id: "desk-evidence", "aria-pressed": "false", title: "Where the data set says that the answer is seen", on: { click: () => acts.toggleEvidence() } }, "Evidence", kbd("v")),
    watched: el("span", { id: "desk-watched", class: "dim", title: "Share of the clip's frames that you have seen" }),
    question: el("div", { class: "ew-question" }),
    kind: el("p", { class: "ew-what" }),
    editor: el("textarea", { id: "desk-edited", class: "ew-text", dir: "auto", "aria-label": "Edited text", maxlength: LONGEST_TEXT, spellcheck: "true" }),
    editState: el("div", { class: "ew-edit-state", hidden: true }),
    note: el("textarea", { id: "desk-note", dir: "auto", rows: "2", maxlength: LONGEST_TEXT, "aria-label": "Note", ...hinted("placeholder", "Note (#): why, in your words", "n") }),
    toast: el("p", { class: "ew-toast", id: "desk-message", role: "status", "aria-live": "polite", hidden: true }),
    plain: el("section", { class: "ew-plain", id: "desk-plain", hidden: true }),
  };
  const stepper = (sign, chord) => button({ class: "ew-small", "aria-label": sign < 0 ? "One frame back" : "One frame on", on: { click: () => acts.step(sign) } }, sign < 0 ? "◂" : "▸", kbd(chord));
  const pace = (sign, chord) => button({ class: "ew-small", "aria-label": sign < 0 ? "Slower" : "Faster", on: { click: () => acts.speed(sign) } }, kbd(chord));
  const mark = (act, chord, name) => button({ class: "ew-small", title: `${name} here: of the selected flag, else of the next one`, on: { click: () => acts[act]() } }, kbd(chord), name.toLowerCase());
  parts.dropEdit = button({ class: "ew-link", id: "desk-drop-edit", on: { click: () => acts.dropEdit() } }, "Drop the edit");
  parts.editHint = el("span", { class: "dim" });
  parts.editState.append(parts.editHint, parts.dropEdit);
  player.stage.append(timeline.caption, parts.stamp, parts.problem);
  parts.right = el(
    "section", { class: "ew-right", "aria-label": "Text and flags" },
    el("div", { class: "ew-card ew-paper" }, el("div", { class: "ew-over" }, parts.kind, claims.start, claims.legend), text.body, parts.editor, parts.editState), flagButtons(taxonomy, (kind) => acts.flag(kind)), flags.body, parts.note,
  );
  parts.main = el(
    "div", { class: "ew-main" },
    el(
      "section", { class: "ew-left", "aria-label": "Clip" }, player.stage,
      el("div", { class: "ew-transport", role: "group", "aria-label": "Playback" }, parts.play, stepper(-1, ","), stepper(1, "."), mark("markStart", "[", "Start"),
        mark("markEnd", "]", "End"), parts.loop, el("span", { class: "ew-pace" }, pace(-1, "-"), parts.speed, pace(1, "+")), parts.evidence, parts.watched),
      timeline.body, parts.question,
    ),
    parts.right, blind.body,
  );
  parts.head = el(
    "header", { class: "ew-head-bar" }, parts.progress, parts.count, parts.again, parts.back, parts.saved,
    button({ id: "desk-recent-open", on: { click: () => acts.recent() } }, "Earlier items", kbd("b")),
    button({ id: "desk-guide-open", on: { click: () => acts.guide() } }, "Guidelines", kbd("q")),
    button({ id: "desk-help-open", on: { click: () => acts.help() } }, "Keys", kbd("?")),
  );
  parts.work = el("div", { class: "ew-work", hidden: true }, parts.main, verdict.body);
  parts.root = el("div", { class: "ew-desk", id: "desk", data: { ready: "false" } }, parts.head, notices.body, parts.work, parts.plain, parts.toast);
  parts.editor.hidden = true;
  return parts;
}

/** Say what kind of text it is. */
export function showKind(parts, kind) {
  parts.kind.replaceChildren(el("strong", {}, KIND_NAMES[kind] ?? kind), ` ${KIND_HINTS[kind] ?? ""}`);
}

/** Show the speed. */
export function showSpeed(parts, speed) {
  parts.speed.textContent = `${speed}×`;
  parts.speed.title = `Speeds: ${SPEEDS.join(", ")}`;
}

/** Show whether the work is kept: the state is the server's word, not a hope. */
export function showSaved(parts, { state, detail, signedOut }) {
  const said = { saved: "● saved", saving: "◌ saving …", unsaved: `▲ NOT saved. ${detail ?? ""}` }[state];
  parts.saved.dataset.state = state;
  parts.saved.replaceChildren(said);
  if (signedOut) parts.saved.replaceChildren("▲ NOT saved. ", el("a", { href: "/login", target: "_blank", id: "desk-sign-in", title: "Opens a new window" }, detail), " Your work waits here.");
}

/** Show a page of words instead of an item: nothing waits, all is done, or nobody answers. */
export function showPlain(parts, title, lines, ...buttons) {
  parts.work.hidden = true;
  parts.plain.hidden = false;
  delete parts.plain.dataset.waiting;
  parts.plain.replaceChildren(el("h2", {}, title), ...lines.map((line) => el("p", {}, ...[line].flat())), el("div", {}, ...buttons));
}
