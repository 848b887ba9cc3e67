// What the server's word on an operation means for the desk.
import { ask } from "./api.js";
import { showStale } from "./dialogs.js";
import { button } from "./elements.js";
import { Outbox, storedName } from "./outbox.js";
import { showPlain, showSaved } from "./screen.js";
import { emptyWork, lacksComment } from "./work.js";

/** Return the annotator's outbox; what an earlier tab left of other items than `current` is sent at once. */
export function openOutbox(desk, annotator, current) {
  const outbox = new Outbox(annotator, {
    send: (operation, keepalive) => ask("/api/desk/operations", { method: "POST", body: operation, annotator, keepalive }),
    onState: (state) => showSaved(desk.screen, state),
    onSaved: (operation, body) => saved(desk, operation, body),
    onStale: (candidateId, operation, latest, sentence) => stale(desk, candidateId, latest, sentence),
    onRefused: (operation, sentence, status) => refused(desk, operation, sentence, status),
  });
  showSaved(desk.screen, { state: "saved" });
  for (const candidateId of outbox.leftOver()) if (candidateId !== current) outbox.open(candidateId, 0);
  return outbox;
}

function isShown(desk, candidateId) {
  return desk.item?.candidate_id === candidateId;
}

function saved(desk, operation, body) {
  if (operation.kind === "draft") return;
  localStorage.removeItem(storedName("watched", desk.outbox.annotator, operation.candidate_id));
  if (!isShown(desk, operation.candidate_id)) return;
  desk.busy = false;
  desk.receive(body);
}

function refused(desk, operation, sentence, status) {
  if (!isShown(desk, operation.candidate_id)) {
    desk.outbox.forget(operation.candidate_id);
    return;
  }
  desk.busy = false;
  if (status !== 400) {
    giveUp(desk, operation.candidate_id, sentence);
    return;
  }
  if (operation.kind === "submit") selectMeant(desk, sentence);
  desk.say(sentence);
  // The verdict cannot stand yet, but the work is sound: keep it.
  if (operation.kind !== "draft") desk.save("draft");
  desk.draw();
}

/** Select the flag that a refusal names, so that its keys work at once. */
function selectMeant(desk, sentence) {
  const named = desk.work.flags.filter((flag) => sentence.includes(`'${desk.flags.names.get(flag.kind)}'`));
  const meant = named.find(lacksComment) ?? named[0];
  if (meant) desk.select(meant.id);
}

function giveUp(desk, candidateId, sentence) {
  const takeNext = () => {
    desk.outbox.forget(candidateId);
    desk.fetchNext();
  };
  desk.item = null;
  showPlain(desk.screen, "This work could not be saved", [sentence], button({ class: "ew-go", id: "desk-take-next", on: { click: takeNext } }, "Take the next item"));
}

function stale(desk, candidateId, latest, sentence) {
  if (!isShown(desk, candidateId)) {
    desk.outbox.forget(candidateId);
    return;
  }
  desk.busy = false;
  showStale(desk.screen.root, sentence, desk.work, latest.work, (choice) => {
    if (choice === "theirs") {
      desk.history.note(desk.work);
      desk.work = { ...emptyWork(), ...latest.work };
    }
    desk.outbox.settle(candidateId, choice, latest, desk.payload());
    desk.edit(false);
  });
}
