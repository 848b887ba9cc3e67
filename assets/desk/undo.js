// Taking back the last act, or doing it again: on this item, on the one before, and after a reload.
import { nameOf, turned } from "./history.js";
import { emptyWork } from "./work.js";

const DONE = { undo: "Undone", redo: "Done again" };

/** Take back the last act ("undo") or do the one that was taken back again ("redo"); an item that was left comes back. */
export async function turn(desk, way) {
  if (desk.turning) return;
  desk.turning = true;
  try {
    await turnOne(desk, way);
  } finally {
    desk.turning = false;
  }
}

async function turnOne(desk, way) {
  const act = desk.busy ? null : desk.history.next(way);
  if (act === null) return desk.say(way === "undo" ? "Nothing is left to undo." : "Nothing is left to do again.");
  const moved = desk.item?.assignment_id !== act.id;
  if (!(await desk.flow.bringBack(act.id)) || desk.history.next(way) !== act) return undefined; // something was done while the item was fetched
  const work = turned({ ...emptyWork(), ...desk.work }, act.changes, way);
  if (work === null) {
    desk.history.forget(act.id);
    return desk.say("This item was changed in another window meanwhile. What was done there stays, and nothing of it was undone.");
  }
  desk.history.turn(way);
  desk.work = work;
  const said = `${DONE[way]}: ${nameOf(act)}.`;
  if (act.left && way === "redo") {
    desk.flow.depart(act.left);
    return desk.say(said);
  }
  if (act.left) desk.flow.reopen(act.left);
  if (Object.keys(act.changes).length > 0) desk.save("draft");
  if (desk.editing) desk.screen.editor.value = work.edited_text ?? desk.item.text;
  desk.draw();
  return desk.say(moved ? `${said} This is the item before, open again.` : said);
}
