// The person at the desk: who it is, signs of life, coming and going, and what is held meanwhile.
import { button } from "./elements.js";
import { Heartbeat } from "./heartbeat.js";
import { History } from "./history.js";
import { storedName } from "./outbox.js";
import { Questions } from "./questions.js";
import { openOutbox, showState } from "./saving.js";

const WORTH_SAVING_S = 5;

/** Hear keys, typing, signs of life, and the page coming and going. */
export function listen(desk) {
  const { screen, clock } = desk;
  const heartbeat = new Heartbeat({ held: () => desk.flow.held, idle_ms: () => clock.idle_ms, onLost: (ids) => lost(desk, ids) });
  const alive = () => {
    clock.alive();
    heartbeat.wake();
  };
  document.addEventListener("keydown", (event) => {
    alive();
    if (screen.root.checkVisibility() && !document.querySelector("dialog[open]")) desk.keys.press(event);
  });
  for (const sign of ["pointermove", "pointerdown", "wheel"]) document.addEventListener(sign, alive, { passive: true });
  screen.note.addEventListener("input", () => desk.change((work) => ({ ...work, note: screen.note.value }), "note"));
  screen.editor.addEventListener("input", () => desk.change((work) => ({ ...work, edited_text: screen.editor.value === desk.item.text ? null : screen.editor.value }), "edit"));
  document.addEventListener("visibilitychange", () => (document.hidden ? leave(desk) : retry(desk)));
  window.addEventListener("pagehide", () => leave(desk));
  window.addEventListener("beforeunload", (event) => {
    leave(desk);
    if (desk.outbox?.storageFull && !desk.outbox.empty) event.preventDefault();
  });
  for (const back of ["online", "focus"]) window.addEventListener(back, () => retry(desk));
  heartbeat.start();
}

/** Know who is at work: their outbox, their acts to undo, their keys, their questions. */
export function meet(desk, annotator) {
  if (desk.outbox?.annotator === annotator) return;
  desk.outbox = openOutbox(desk, annotator);
  desk.history = new History(storedName("history", annotator), () => desk.say("This browser has no room left: what you do can be undone until the page is closed, and not after."));
  desk.keymap.open(storedName("keys", annotator));
  desk.questions = new Questions(annotator, () => asked(desk));
  showState(desk, desk.saved); // what an earlier tab asked and the server has not got yet counts at once
  desk.questions.send();
  desk.outbox.adopt();
}

/** Show how the questions on the guidelines stand; one that was refused is shown in full, so that it is not lost. */
function asked(desk) {
  showState(desk, desk.saved);
  const { refused } = desk.questions;
  if (!refused) return;
  const leave = button({ class: "ew-link", on: { click: () => desk.notices.drop("question") } }, "Leave it");
  desk.notices.put("question", `Your question on the guidelines was not taken. ${refused.sentence} You asked: “${refused.question}”`, leave);
}

/** Send what waits, before the page goes away; the time spent and the share watched went on since the last act. */
function leave(desk) {
  if (!desk.outbox) return;
  desk.keepWatched();
  if (desk.item && desk.touched && !desk.busy && desk.outbox.empty && desk.clock.seconds - desk.savedAt_s > WORTH_SAVING_S) desk.save("draft", true);
  desk.outbox.leave();
}

function retry(desk) {
  desk.outbox?.retry();
  desk.questions?.send();
  desk.player.retry();
  if (desk.flow.failed) desk.flow.fetchNext();
}

/** Say that the item on screen is not held any more, and forget those ahead that are not. */
function lost(desk, ids) {
  if (ids.includes(desk.item?.assignment_id)) {
    const next = button({ class: "ew-link", id: "desk-lost-next", on: { click: () => desk.flow.startAnew() } }, "Take the next item");
    desk.notices.put("lost", "This item is not held for you any more: somebody else may have it now. If its place is still free, your next act takes it back; if not, you will be told.", next);
  }
  desk.flow.ahead = desk.flow.ahead.filter((item) => !ids.includes(item.assignment_id));
}
