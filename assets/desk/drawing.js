// From the desk's state to its screen. Nothing is decided here.
import { RATINGS } from "./acts.js";
import { button, clockTime, el } from "./elements.js";
import { showPlain } from "./screen.js";

const WATCHED_DRAWN_MS = 250;

/** Draw everything that hangs on the work. */
export function drawWork(desk) {
  const { screen, work, item, selectedId, editing } = desk;
  desk.text.flag(work.flags, selectedId);
  desk.timeline.flag(work.flags, selectedId, desk.flags.names);
  desk.timeline.mark(desk.marks);
  desk.flags.show(work.flags, selectedId, desk.player.frames.end_s);
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
  drawProgress(desk, item);
}

/** Draw how far the annotator got. */
export function drawProgress({ screen }, { done, total }) {
  [screen.progress.max, screen.progress.value] = [Math.max(1, total), done];
  screen.count.textContent = `${done} of ${total} done`;
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

/** Say that nothing waits, and what the annotator did; only a lead may open the page that a hint names. */
export function drawFinished(desk, { done, total, verdicts }, role, lookAgain) {
  drawProgress(desk, { done, total });
  const again = button({ class: "ew-go", id: "desk-look-again", on: { click: lookAgain } }, "Look again");
  if (done === 0) {
    const link = ["Clips and texts come in on the ", el("a", { href: "/import" }, "Import page"), "; what is queued there appears here."];
    const way = role === "lead" ? link : "Ask a lead to import and queue clips and texts; they appear here by themselves.";
    showPlain(desk.screen, "Nothing waits for you yet", [way], again);
  } else {
    const told = Object.entries(verdicts).map(([verdict, count]) => `${count} ${verdict}`).join(", ");
    showPlain(desk.screen, `All ${done} of your items are done`, [`Your verdicts: ${told}.`, "Earlier items can be opened again. New ones appear here by themselves."], again);
  }
}
