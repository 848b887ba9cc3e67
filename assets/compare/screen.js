// The screen of the page Compare: every part in its place. It decides nothing; `compare.js` wires it.
import { button, el, kbd } from "../desk/elements.js";
import { piecesOf } from "./diff.js";
import { CHOICES } from "./keys.js";

const KIND_NAMES = { narrative: "Two narratives of the whole clip", rationale: "Two rationales for the given answer", answer: "Two answers to the question" };

/** Return the screen's parts by name, `root` among them. `acts` are the page's acts, the same that keys reach. */
export function buildScreen(acts, { player, timeline }) {
  const parts = {
    count: el("span", { id: "compare-count", class: "dim" }),
    last: el("span", { id: "compare-last", class: "dim", role: "status", "aria-live": "polite" }),
    saved: el("span", { id: "desk-saved", role: "status", data: { state: "saved" } }),
    undo: button({ id: "compare-undo", title: "Take back the last choice", on: { click: () => acts.undo() } }, "Undo", kbd("z")),
    diff: button({ id: "compare-diff", "aria-pressed": "false", title: "Mark in each text the words that the other has not", on: { click: () => acts.toggleDiff() } }, "Differences", kbd("d")),
    stamp: el("div", { class: "ew-stamp", id: "desk-stamp" }),
    problem: el("p", { class: "ew-problem", id: "compare-problem", role: "alert", hidden: true }),
    play: button({ id: "compare-play", class: "ew-play", "aria-label": "Play or pause", on: { click: () => acts.togglePlay() } }, "▶"),
    loop: button({ id: "compare-loop", "aria-pressed": "false", title: "Loop what was played last", on: { click: () => acts.toggleLoop() } }, "Loop", kbd("l")),
    speed: el("output", { id: "compare-speed", "aria-label": "Speed" }, "1×"),
    evidence: button({ id: "compare-evidence", "aria-pressed": "false", title: "Where the data set says that the answer is seen", on: { click: () => acts.toggleEvidence() } }, "Evidence", kbd("v")),
    watched: el("span", { id: "desk-watched", class: "dim", title: "Share of the clip's frames that you have seen" }),
    question: el("div", { class: "ew-question" }),
    kind: el("h2", { class: "cmp-kind" }),
    note: el("p", { class: "cmp-note dim", id: "compare-note", role: "status", hidden: true }),
    toast: el("p", { class: "ew-toast", id: "compare-message", role: "status", "aria-live": "polite", hidden: true }),
    plain: el("section", { class: "ew-plain", id: "compare-plain", hidden: true }),
  };
  [parts.left, parts.right] = [paper("left", "Left", parts.note), paper("right", "Right")];
  const step = (sign, chord) => button({ class: "ew-small", "aria-label": sign < 0 ? "One frame back" : "One frame on", on: { click: () => acts.step(sign) } }, sign < 0 ? "◂" : "▸", kbd(chord));
  const pace = (sign, chord) => button({ class: "ew-small", "aria-label": sign < 0 ? "Slower" : "Faster", on: { click: () => acts.speed(sign) } }, kbd(chord));
  const choices = CHOICES.map(({ choice, keys, name }) => (
    button({ id: `compare-${choice.replace("_", "-")}`, class: `cmp-choice ${choice}`, on: { click: () => acts.choose(choice) } }, ...(choice === "skip" ? [name, kbd(keys[0])] : [kbd(keys[0]), name]))
  ));
  const skip = choices.pop();
  player.stage.append(parts.stamp, parts.problem);
  parts.work = el(
    "div", { class: "ew-work", hidden: true },
    el(
      "div", { class: "cmp-top" }, el("section", { class: "cmp-clip", "aria-label": "Clip" }, player.stage),
      el(
        "section", { class: "cmp-side", "aria-label": "Question and playback" }, parts.kind, parts.question,
        el("div", { class: "ew-transport", role: "group", "aria-label": "Playback" }, parts.play, step(-1, ","), step(1, "."), parts.loop, el("span", { class: "ew-pace" }, pace(-1, "-"), parts.speed, pace(1, "+")), parts.evidence, parts.watched),
        timeline.body,
      ),
    ),
    el("div", { class: "cmp-texts" }, parts.left.body, parts.right.body),
    el("div", { class: "ew-foot cmp-foot", role: "group", "aria-label": "Which text is better?" }, ...choices),
  );
  parts.head = el(
    "header", { class: "ew-head-bar" }, parts.count, parts.last, parts.saved, parts.undo, skip, parts.diff,
    button({ id: "compare-help-open", on: { click: () => acts.help() } }, "Keys", kbd("?")),
  );
  parts.root = el("div", { class: "ew-desk ew-compare", id: "compare", data: { ready: "false", open: "false" } }, parts.head, parts.work, parts.plain, parts.toast);
  return parts;
}

function paper(side, name, note = null) {
  const text = el("p", { class: "ew-text", id: `compare-text-${side}`, dir: "auto", tabindex: "0", role: "group", "aria-label": `${name} text` });
  return { text, body: el("article", { class: "ew-card ew-paper", "aria-label": name }, el("header", { class: "cmp-over" }, el("h3", {}, name), note), text) };
}

/** Say what is compared. */
export function showKind(parts, kind) {
  parts.kind.textContent = KIND_NAMES[kind] ?? "Two texts";
}

/** Put a text on its side; `alone` tells for each of its pieces whether the other text lacks it, or is null. */
export function showText({ text }, words, alone) {
  if (alone === null) return text.replaceChildren(words);
  const pieces = piecesOf(words);
  return text.replaceChildren(...runsOf(pieces, alone).flatMap(({ own, piece }) => (own ? [el("mark", { class: "cmp-own" }, piece.trimEnd()), piece.slice(piece.trimEnd().length)] : [piece])));
}

function runsOf(pieces, alone) {
  const runs = [];
  pieces.forEach((piece, index) => {
    if (runs.at(-1)?.own === alone[index]) runs.at(-1).piece += piece;
    else runs.push({ own: alone[index], piece });
  });
  return runs;
}

/** Show whether the choices are kept: the state is the server's word, not a hope. */
export function showSaved(parts, { state, detail, signedOut }) {
  parts.saved.dataset.state = state;
  parts.saved.replaceChildren({ saved: "● saved", saving: "◌ saving …", unsaved: `▲ NOT saved. ${detail ?? ""}` }[state]);
  if (signedOut) parts.saved.replaceChildren("▲ NOT saved. ", el("a", { href: "/login", target: "_blank", title: "Opens a new window" }, detail), " Your choices wait here.");
}

/** Show a page of words instead of two texts. */
export function showPlain(parts, title, lines, ...buttons) {
  parts.work.hidden = true;
  parts.plain.hidden = false;
  parts.plain.replaceChildren(el("h2", {}, title), ...lines.map((line) => el("p", {}, line)), el("div", {}, ...buttons));
}
