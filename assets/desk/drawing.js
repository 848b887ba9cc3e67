// From the desk's state to its screen. Nothing is decided here.
import { RATINGS } from "./acts.js";
import { supportOf } from "./claims.js";
import { button, clockTime, el } from "./elements.js";
import { showPlain } from "./screen.js";

const WATCHED_DRAWN_MS = 250;
export const MOST_COUNTED = 500; // the server counts no more open items than one above it

/** Draw everything that hangs on the work. */
export function drawWork(desk) {
  const { screen, work, item, selectedId, editing } = desk;
  drawBlind(desk);
  desk.text.flag(work.flags, selectedId);
  desk.text.tick((claim) => supportOf(work.ticks, claim));
  drawPlace(desk);
  desk.timeline.flag(work.flags, selectedId, desk.flags.names, desk.part);
  desk.timeline.mark(desk.marks);
  desk.flags.show(work.flags, selectedId, desk.part, { item, length_s: desk.player.frames.end_s });
  desk.verdict.show(work, selectedId ? null : RATINGS[desk.digits], desk.busy);
  if (screen.note.value !== work.note) screen.note.value = work.note;
  screen.editState.hidden = !editing && work.edited_text === null;
  screen.editHint.textContent = editing ? "Esc goes back to the text and its flags." : `Edited: ${work.edited_text ?? ""}`;
  screen.dropEdit.hidden = work.edited_text === null;
  screen.right.inert = desk.busy;
  const before = item.state === "final" || item.state === "skipped";
  [screen.again.hidden, screen.back.hidden] = [!before, !before];
  screen.loop.setAttribute("aria-pressed", String(desk.player.loop !== null));
  screen.evidence.setAttribute("aria-pressed", String(desk.evidenceShown));
  desk.keymap.hint(screen.root);
}

/** Draw the question alone while it is to be answered first, else the text with all that can be said of it. */
function drawBlind({ screen, blind, asking, chosen, busy, verdict }) {
  [blind.body.hidden, screen.right.hidden, verdict.body.hidden, screen.question.hidden] = [!asking, asking, asking, asking];
  if (asking) blind.show(chosen, busy);
}

/** Draw what can be said of the claim that is selected by keys, or how many are ticked. */
export function drawPlace({ claims, text, item, work }) {
  if (item) claims.show(text.claims, work.ticks, text.claim);
}

/** Draw how far the annotator got. */
export function drawProgress({ screen }, { done, open }) {
  [screen.progress.max, screen.progress.value] = [Math.max(1, done + open), done];
  screen.count.textContent = `${done} done, ${open > MOST_COUNTED ? `${MOST_COUNTED}+` : open} open`;
}

/** Draw the frame that is on screen: its time, its place and what was watched. */
export function drawFrame(desk, index) {
  const { player, screen, timeline } = desk;
  const { frames } = player;
  screen.stamp.textContent = `${clockTime(frames.start(index))}${frames.exact ? ` · frame ${index + 1} of ${frames.count}` : ""}`;
  timeline.place(index);
  const now = performance.now();
  if (player.playing && now - (desk.watchedDrawn ?? 0) < WATCHED_DRAWN_MS) return;
  desk.watchedDrawn = now;
  timeline.watched(player.watchedRanges);
  screen.watched.textContent = `seen ${Math.round(100 * desk.watchedShare)} %`;
}

/** Say that nothing waits, and what the annotator did; only an admin may open the page that a hint names. */
export function drawFinished(desk, { done, open, verdicts }, role, lookAgain) {
  drawProgress(desk, { done, open });
  const again = button({ class: "ew-go", id: "desk-look-again", on: { click: lookAgain } }, "Look again");
  if (done === 0) {
    const link = ["Clips and texts come in on the ", el("a", { href: "/import" }, "Import page"), "; what is queued there appears here."];
    const way = role === "admin" ? link : "Ask an admin to import and queue clips and texts; they appear here by themselves.";
    showPlain(desk.screen, "Nothing waits for you yet", [way], again);
  } else {
    const told = Object.entries(verdicts).map(([verdict, count]) => `${count} ${verdict}`).join(", ");
    showPlain(desk.screen, `All ${done} of your items are done`, [`Your verdicts: ${told}.`, "Earlier items can be opened again. New ones appear here by themselves."], again);
  }
}
