// The page's screen: every part in its place. It decides nothing; `adjudicate.js` wires it.
import { button, el, kbd } from "../desk/elements.js";
import { flagButtons } from "../desk/flags.js";
import { scoreOf } from "./lists.js";

const KIND_NAMES = { narrative: "Narrative of the whole clip", rationale: "Rationale for the given answer", answer: "Answer to the question" };

/** Return the screen's parts by name, `root` among them. `acts` are the page's acts, the same that keys reach. */
export function buildScreen(taxonomy, acts, { player, timeline, text, voices, final }) {
  const parts = {
    count: el("b", { id: "adj-count" }),
    saved: el("span", { id: "desk-saved", role: "status", data: { state: "saved" } }),
    list: button({ id: "adj-list-open", on: { click: () => acts.list() } }, "Disputed", kbd("b")),
    questions: button({ id: "adj-questions-open", on: { click: () => acts.questions() } }, el("span", {}, "Questions"), kbd("q")),
    stamp: el("div", { class: "ew-stamp", id: "desk-stamp" }),
    problem: el("p", { class: "ew-problem", role: "alert", hidden: true }),
    play: button({ id: "adj-play", class: "ew-play", "aria-label": "Play or pause", on: { click: () => acts.togglePlay() } }, "▶"),
    loop: button({ id: "adj-loop", "aria-pressed": "false", title: "Loop the selected flag, or what was played last", on: { click: () => acts.toggleLoop() } }, "Loop", kbd("l")),
    speed: el("output", { "aria-label": "Speed" }, "1×"),
    evidence: button({ "aria-pressed": "false", title: "Where the data set says that the answer is seen", on: { click: () => acts.toggleEvidence() } }, "Evidence", kbd("v")),
    question: el("div", { class: "ew-question" }),
    kind: el("p", { class: "ew-what" }),
    score: el("p", { class: "adj-line", id: "adj-line" }),
    notice: el("p", { class: "adj-notice", id: "adj-notice", hidden: true }),
    toast: el("p", { class: "ew-toast", id: "adj-message", role: "status", "aria-live": "polite", hidden: true }),
    plain: el("section", { class: "ew-plain", id: "adj-plain", hidden: true }),
  };
  const step = (sign, chord) => button({ class: "ew-small", "aria-label": sign < 0 ? "One frame back" : "One frame on", on: { click: () => acts.step(sign) } }, sign < 0 ? "◂" : "▸", kbd(chord));
  const pace = (sign, chord) => button({ class: "ew-small", "aria-label": sign < 0 ? "Slower" : "Faster", on: { click: () => acts.speed(sign) } }, kbd(chord));
  player.stage.append(parts.stamp, parts.problem);
  parts.work = el(
    "div", { class: "ew-work adj-work", hidden: true },
    el(
      "section", { class: "ew-left", "aria-label": "Clip and text" }, player.stage,
      el("div", { class: "ew-transport", role: "group", "aria-label": "Playback" }, parts.play, step(-1, ","), step(1, "."), parts.loop, el("span", { class: "ew-pace" }, pace(-1, "-"), parts.speed, pace(1, "+")), parts.evidence),
      timeline.body, parts.question, el("div", { class: "ew-card ew-paper" }, parts.kind, text.body),
    ),
    el("section", { class: "ew-right", "aria-label": "What people said, and the decision" }, parts.notice, parts.score, voices.body, flagButtons(taxonomy, (kind) => acts.flag(kind)), final.body),
  );
  parts.head = el(
    "header", { class: "ew-head-bar" }, parts.count, button({ id: "adj-later", title: "Look at the next one first", on: { click: () => acts.later() } }, "Next one", kbd("s")), parts.saved,
    parts.list, parts.questions, button({ id: "adj-help-open", on: { click: () => acts.help() } }, "Keys", kbd("?")),
  );
  parts.root = el("div", { class: "ew-desk ew-adjudicate", id: "adjudicate", data: { ready: "false" } }, parts.head, parts.work, parts.plain, parts.toast);
  return parts;
}

/** Say what kind of text it is, how far people disagree, and what the adjudicator should know first. */
export function showHead(parts, item) {
  const verdicts = new Map();
  for (const { verdict } of item.voices) verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
  const told = [...verdicts].sort((one, other) => other[1] - one[1]).map(([verdict, count]) => `${count} ${verdict}`).join(", ");
  const open = item.wanted === null ? 0 : item.wanted - item.voices.length; // null: as many as like, as on gold
  parts.kind.replaceChildren(el("strong", {}, KIND_NAMES[item.kind] ?? item.kind), el("span", {}, "own flag: select words, ", kbd("w")));
  const hint = "Split: 1 − share of the commonest verdict. Disputed: flagged by some, but not all. Apart: steps from the lowest rating to the highest, both together.";
  const score = el("span", { class: "adj-score", title: hint }, scoreOf(item.disagreement) || "agreed");
  parts.score.replaceChildren(...[el("b", {}, told), score, open > 0 && el("span", { class: "dim" }, `${open} more annotation${open > 1 ? "s" : ""} to come`)].filter(Boolean));
  parts.notice.textContent = noticesOf(item).join(" ");
  parts.notice.hidden = parts.notice.textContent === "";
}

/** Show a page of words instead of a text. */
export function showPlain(parts, title, lines, ...buttons) {
  parts.work.hidden = true;
  parts.plain.hidden = false;
  parts.plain.replaceChildren(el("h2", {}, title), ...lines.map((line) => el("p", {}, line)), el("div", {}, ...buttons));
}

/** Show whether what was sent is kept: the state is the server's word, not a hope. */
export function showSaved(parts, { state, detail, signedOut }) {
  parts.saved.dataset.state = state;
  parts.saved.replaceChildren({ saved: "● saved", saving: "◌ saving …", unsaved: `▲ NOT saved. ${detail ?? ""}` }[state]);
  if (signedOut) parts.saved.replaceChildren("▲ NOT saved. ", el("a", { href: "/login", target: "_blank", title: "Opens a new window" }, detail), " Your decision waits here.");
}

function noticesOf(item) {
  const mine = item.voices.find((voice) => voice.yours);
  const lines = [];
  if (mine) lines.push(`You annotated this text yourself (annotator ${mine.number}). If somebody else can decide it, leave it to them and take the next one.`);
  if (item.decision) lines.push(`Decided: ${item.decision.verdict}, by ${item.decision.adjudicator}. A change is kept beside it in the log.`);
  if (item.stale) lines.push("Somebody annotated it after the decision.");
  return lines;
}
