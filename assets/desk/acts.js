// What each key and button does. An act that changes the work goes through `desk.change`, which saves it and lets it be undone.
import { ask } from "./api.js";
import { blindActs } from "./blind.js";
import { showRecent } from "./dialogs.js";
import { showGuide } from "./guide.js";
import { showKeys } from "./key_help.js";
import { markingActs } from "./marks.js";
import { NO_MARKS, kindDefaults } from "./parts.js";
import { bringRefused, selectMeant } from "./saving.js";
import { askReason } from "./skipping.js";
import { turn } from "./undo.js";
import { walkingActs, watchingActs } from "./watching.js";
import { newFlag, whyNotFinal, withFlag, withFlagChanged, withVerdict, withoutFlag } from "./work.js";

export const RATINGS = ["factual_consistency", "logical_coherence"];
const MISLEADING = 2; // severity "major"
// These flags may stand without words: what is missing is not in the text.
const WITHOUT_WORDS = new Set(["omission", "other"]);

/** Return the acts of a desk by name, as `keys.js` names them. */
export function actsOf(desk, taxonomy) {
  return { ...watching(desk), ...moments(desk), ...judging(desk), ...markingActs(desk, taxonomy), ...blindActs(desk), ...leaving(desk), ...around(desk) };
}

function watching(desk) {
  const { player, text, timeline } = desk;
  return {
    ...watchingActs(desk),
    ...walkingActs(text),
    toggleSubtitles: () => timeline.toggleSubtitles() || desk.say("The data set gives no subtitles for this item."),
    jumpSpan: (step) => {
      const index = timeline.spanFrom(player.head, step);
      if (index === null) desk.say(step > 0 ? "No flag, evidence or subtitle in view begins later." : "No flag, evidence or subtitle in view begins earlier.");
      else player.seek(index);
    },
  };
}

function moments(desk) {
  const { player, timeline } = desk;
  const setEdge = (edge, index) => {
    const moment = desk.selectedMoment;
    const whole = { start_s: player.frames.start(index), end_s: player.frames.end(index) };
    desk.moment(desk.selectedId, moment.start_s === null ? whole : timeline.moved(moment, edge, index), edge, true);
  };
  const mark = (edge) => {
    if (desk.selectedFlag) return setEdge(edge, player.head);
    const field = edge === "start" ? "start_s" : "end_s";
    const marks = { ...desk.marks, [field]: edge === "start" ? player.frames.start(player.head) : player.frames.end(player.head) };
    const crossed = marks.start_s !== null && marks.end_s !== null && marks.end_s <= marks.start_s;
    desk.marks = crossed ? { ...NO_MARKS, [field]: marks[field] } : marks;
    return desk.draw();
  };
  const nudge = (edge, steps) => {
    const moment = desk.selectedMoment;
    setEdge(edge, moment.start_s === null ? player.head : timeline.frameAt(moment, edge) + steps);
  };
  return {
    markStart: () => mark("start"),
    markEnd: () => mark("end"),
    nudgeStart: (steps) => nudge("start", steps),
    nudgeEnd: (steps) => nudge("end", steps),
  };
}

function judging(desk) {
  const { text, screen } = desk;
  return {
    flag: (kind) => {
      const words = text.selection;
      if (!words && !WITHOUT_WORDS.has(kind)) return desk.say(`Select the words first: drag over them, or press ${desk.keymap.nameNow("w")} and walk with the arrow keys.`);
      const flag = { ...newFlag(kind, words, desk.momentNow()), ...kindDefaults(kind, desk.item) };
      if (!desk.change((work) => withFlag(work, flag))) return undefined;
      text.clear();
      desk.marks = NO_MARKS;
      return desk.select(flag.id);
    },
    nextFlag: (step) => {
      const { flags } = desk.work;
      if (flags.length === 0) return;
      const at = flags.findIndex((flag) => flag.id === desk.selectedId);
      desk.select(flags[at < 0 ? (step > 0 ? 0 : flags.length - 1) : (at + step + flags.length) % flags.length].id, true);
    },
    severity: (severity) => desk.change((work) => withFlagChanged(work, desk.selectedId, { severity })),
    comment: () => desk.flags.focusField("comment"),
    deleteFlag: (id = null) => desk.change((work) => withoutFlag(work, id ?? desk.selectedId)),
    verdict: (verdict) => {
      if (verdict === "skip") return leaving(desk).skip();
      desk.change((work) => withVerdict(work, verdict));
      desk.select(null);
      if (verdict === "accept" && desk.work.flags.some((flag) => flag.severity >= MISLEADING)) desk.say("Accepted although a flag is major or critical. Is the text fit to train on as it stands?");
      return undefined;
    },
    rate: (value) => {
      const rating = RATINGS[desk.digits];
      desk.digits = 1 - desk.digits;
      desk.change((work) => ({ ...work, [rating]: value }));
    },
    setRating: (rating, value) => desk.change((work) => ({ ...work, [rating]: work[rating] === value ? null : value })),
    switchRating: () => {
      desk.digits = 1 - desk.digits;
      desk.draw();
    },
    note: () => screen.note.focus(),
    edit: () => desk.edit(true),
    dropEdit: () => {
      desk.change((work) => ({ ...work, edited_text: null }));
      desk.edit(false);
    },
    undo: () => turn(desk, "undo"),
    redo: () => turn(desk, "redo"),
  };
}

/** What leaves the item: the next one is on screen before the server answers. */
function leaving(desk) {
  const depart = (kind, work = desk.work) => {
    desk.edit(false);
    desk.history.noteLeft(desk.item.assignment_id, kind, desk.work, work);
    desk.work = work;
    desk.flow.depart(kind);
  };
  const isFinal = () => {
    if (desk.item.state === "final") desk.say("This item is submitted already and cannot be skipped or given back. Submit it again with another verdict instead.");
    return desk.item.state === "final";
  };
  return {
    submit: () => {
      if (desk.busy) return undefined;
      const why = whyNotFinal(desk.work, desk.flags.names);
      if (why === null) return depart("submit");
      desk.edit(false);
      selectMeant(desk, why);
      return desk.say(why);
    },
    skip: () => {
      if (desk.busy || isFinal()) return;
      const id = desk.item.assignment_id;
      askReason(desk.screen.root, (reason) => desk.item?.assignment_id === id && depart("skip", { ...desk.work, skip_reason: reason }));
    },
    release: () => desk.busy || isFinal() || depart("release"),
  };
}

function around(desk) {
  const { player, text, screen } = desk;
  return {
    escape: () => {
      const focused = document.activeElement;
      if (desk.editing) return desk.edit(false);
      if (screen.root.contains(focused) && focused !== document.body) focused.blur();
      if (focused?.matches("input, textarea, select")) return undefined;
      player.setLoop(null);
      desk.marks = NO_MARKS;
      text.clear();
      return desk.select(null);
    },
    recent: async () => {
      const { status, body } = await ask("/api/desk/recent");
      if (status === 200) showRecent(screen.root, body.items, (assignmentId) => desk.flow.bringBack(assignmentId));
      else desk.say(body.error);
    },
    guide: () => showGuide(desk),
    help: () => showKeys(screen.root, desk.keymap),
    bringRefused: () => bringRefused(desk),
    backToQueue: () => desk.flow.toQueue(),
  };
}
