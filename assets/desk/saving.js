// What the server's word on an operation means for the desk.
import { ask } from "./api.js";
import { showStale, told } from "./dialogs.js";
import { button, kbd } from "./elements.js";
import { Outbox, storedName } from "./outbox.js";
import { showPlain, showSaved } from "./screen.js";
import { emptyWork, lacksComment } from "./work.js";

/** Return the annotator's outbox; what an earlier tab left is sent at once. */
export function openOutbox(desk, annotator) {
  const outbox = new Outbox(annotator, {
    send: (operation, keepalive) => ask("/api/desk/operations", { method: "POST", body: operation, annotator, keepalive }),
    onState: (state) => showState(desk, state),
    onSaved: (operation, body) => saved(desk, operation, body),
    onStale: (operation, current, sentence) => stale(desk, operation, current, sentence),
    onMet: (operation, current) => operation.kind === "draft" && learnState(desk, operation, current),
    onRefused: (operation, sentence, status) => refused(desk, operation, sentence, status),
  });
  showState(desk, { state: "saved", detail: "", signedOut: false });
  return outbox;
}

/** Show whether everything is kept: the operations, and what was asked about the guidelines. */
export function showState(desk, state) {
  const asked = desk.questions?.waiting ?? 0;
  desk.saved = state;
  showSaved(desk.screen, state.state === "saved" && asked > 0 ? { state: "unsaved", detail: "Your question on the guidelines waits for the network." } : state);
  if (desk.flow.waiting) desk.flow.wait(state);
}

/** Bring an item back that the server did not take, with the work as it was; without an id, the one that was refused first. */
export async function bringRefused(desk, id = desk.refused.keys().next().value) {
  const trouble = desk.refused.get(id);
  if (!trouble) return desk.say("Nothing was refused.");
  const back = await desk.flow.bringBack(id);
  dismiss(desk, id);
  if (!back) return showLost(desk, trouble);
  if (trouble.current) return choose(desk, trouble);
  return explain(desk, trouble);
}

function isShown(desk, id) {
  return desk.item?.assignment_id === id;
}

function saved(desk, operation, body) {
  const { kind, assignment_id: id } = operation;
  dismiss(desk, id);
  if (isShown(desk, id)) desk.notices.drop("lost");
  if (kind === "draft") return;
  if (kind === "answer" || kind === "reopen") {
    desk.flow.refresh(body.item, kind);
    // The one after it may have asked the same question.
    if (body.upcoming) desk.flow.refresh(body.upcoming, "upcoming");
    return;
  }
  if (!isShown(desk, id)) localStorage.removeItem(storedName("watched", desk.outbox.annotator, id));
  desk.flow.receive(body, body.sequence);
}

function refused(desk, operation, sentence, status) {
  const trouble = { operation, sentence, status };
  if (!isShown(desk, operation.assignment_id)) {
    remember(desk, trouble);
    return;
  }
  desk.busy = false;
  if (operation.kind === "answer" && status === 400) answeredElsewhere(desk, trouble);
  else if (operation.kind === "reopen") giveUp(desk, trouble, "This item stays as you submitted it");
  else if (status !== 400) giveUp(desk, trouble, "This work could not be saved");
  else explain(desk, trouble);
}

/** Another window answered first, and its answer counts: show the item as it is now. */
function answeredElsewhere(desk, { operation, sentence }) {
  desk.outbox.settle(operation.assignment_id, "theirs", { sequence: operation.base_sequence, work: null }, null);
  desk.flow.startAnew().then(() => desk.say(sentence));
}

function stale(desk, operation, current, sentence) {
  const trouble = { operation, sentence, status: 409, current };
  if (desk.outbox.isIdle(operation.assignment_id)) yieldTo(desk, trouble);
  else if (!isShown(desk, operation.assignment_id)) remember(desk, trouble);
  else if (operation.kind === "reopen") reopenTheirs(desk, trouble);
  else choose(desk, trouble);
}

/** Say on screen that an item that was left is not kept, and how to get it back; on an empty screen it comes back at once. */
function remember(desk, trouble) {
  const id = trouble.operation.assignment_id;
  desk.refused.set(id, trouble);
  desk.flow.notLeft(id);
  if (!desk.item) {
    bringRefused(desk, id);
    return;
  }
  const leave = () => {
    desk.outbox.forget(id);
    dismiss(desk, id);
  };
  desk.notices.put(
    `refused ${id}`, `An earlier item was not kept. ${trouble.sentence}`,
    button({ class: "ew-go", data: { act: "bring" }, on: { click: () => bringRefused(desk, id) } }, "Bring it back", kbd("shift+b")),
    button({ class: "ew-link", data: { act: "leave" }, title: "Your work on it stays in this browser, and the server does not get it", on: { click: leave } }, "Leave it"),
  );
}

function dismiss(desk, id) {
  desk.refused.delete(id);
  desk.notices.drop(`refused ${id}`);
}

/** Say why the item on screen was refused; what is sound in it is kept as a draft. */
function explain(desk, { operation, sentence, status }) {
  if (operation.kind === "submit") selectMeant(desk, sentence);
  desk.say(sentence);
  if (status === 400 && (operation.kind === "submit" || operation.kind === "skip")) desk.save("draft");
  desk.draw();
}

/** Select the flag that a refusal names, so that its keys work at once. */
export function selectMeant(desk, sentence) {
  const named = desk.work.flags.filter((flag) => sentence.includes(`'${desk.flags.names.get(flag.kind)}'`));
  const meant = named.find(lacksComment) ?? named[0];
  if (meant) desk.select(meant.id);
}

function giveUp(desk, { operation, sentence }, title) {
  desk.blank();
  showPlain(desk.screen, title, [sentence], nextInstead(desk, operation));
}

/** Show the work on an item that cannot be shown any more, so that it can at least be read and copied. */
function showLost(desk, { operation, sentence }) {
  desk.blank();
  const lines = [sentence, "This is what you did; it stays in this browser:", ...(operation.state ? told(operation.state) : [])];
  showPlain(desk.screen, "This work could not be saved", lines, nextInstead(desk, operation));
}

/** Return the button that tries no more to save an item and takes the next one. */
function nextInstead(desk, { assignment_id: id }) {
  const takeNext = () => {
    desk.outbox.forget(id);
    desk.flow.startAnew();
  };
  return button({ class: "ew-go", id: "desk-take-next", on: { click: takeNext } }, "Take the next item");
}

/** Nothing was done in this window since it last saved: the other one's work is the newer. */
function yieldTo(desk, { operation, current }) {
  desk.outbox.settle(operation.assignment_id, "theirs", current, null);
  if (!isShown(desk, operation.assignment_id)) return;
  desk.work = { ...emptyWork(), ...current.work };
  learnState(desk, operation, current);
}

/** Know that another window submitted the item on screen, or opened it again: what is done here now may be a draft beside what is final. */
function learnState(desk, { assignment_id: id }, { state }) {
  if (!isShown(desk, id) || !state) return;
  desk.item = { ...desk.item, state };
  desk.draw();
}

/** Let the person choose between this window's work and the other one's. */
function choose(desk, { operation, sentence, current }) {
  const id = operation.assignment_id;
  desk.busy = false;
  showStale(desk.screen.root, sentence, desk.work, current.work, (choice) => {
    if (choice === "theirs") desk.take(current.work);
    learnState(desk, operation, current);
    desk.outbox.settle(id, choice, current, desk.payload());
    desk.edit(false);
  });
}

/** Another window changed an item that was to be opened again: what it says wins, and is what is open now. */
function reopenTheirs(desk, { operation, current }) {
  const id = operation.assignment_id;
  desk.history.forget(id);
  desk.work = { ...emptyWork(), ...current.work };
  desk.outbox.settle(id, "theirs", current, null);
  desk.outbox.put(id, "reopen", null);
  desk.say("This item was changed in another window meanwhile. What was done there stays, and nothing of it was undone.");
  desk.edit(false);
}
