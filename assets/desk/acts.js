// What each key and button does. An act that changes the work goes through `desk.change`, which saves it and lets it be undone.
import { ask } from "./api.js";
import { showGuide, showHelp, showRecent } from "./dialogs.js";
import { showSpeed } from "./screen.js";
import { newFlag, withFlag, withFlagChanged, withVerdict, withoutFlag } from "./work.js";

export const RATINGS = ["factual_consistency", "logical_coherence"];
export const NO_MARKS = { start_s: null, end_s: null };
const MISLEADING = 2; // severity "major"
// These flags may stand without words: what is missing is not in the text.
const WITHOUT_WORDS = new Set(["omission", "other"]);

/** Return the acts of a desk by name, as `keys.js` names them. */
export function actsOf(desk) {
  return { ...watching(desk), ...moments(desk), ...judging(desk), ...around(desk) };
}

function watching(desk) {
  const { player, text } = desk;
  return {
    togglePlay: () => player.toggle(),
    step: (count) => player.step(count),
    jump: (seconds) => player.seek(player.frames.at(Math.max(0, player.frames.start(player.head) + seconds + 1e-4))),
    edge: (which) => player.seek(which === "start" ? 0 : player.frames.count - 1),
    speed: (step) => {
      player.changeSpeed(step);
      showSpeed(desk.screen, player.speed);
    },
    toggleLoop: () => {
      if (player.loop) player.setLoop(null);
      else desk.startLoop();
      desk.draw();
    },
    toggleEvidence: () => {
      desk.evidenceShown = !desk.evidenceShown;
      if (!desk.timeline.toggleEvidence(desk.evidenceShown) && desk.evidenceShown) desk.say("The data set gives no evidence for this item.");
      desk.draw();
    },
    toText: () => text.focus(),
    wordLeft: (extend) => text.moveSideways(-1, Boolean(extend)),
    wordRight: (extend) => text.moveSideways(1, Boolean(extend)),
    sentence: (step) => text.move(step, "sentence", false),
  };
}

function moments(desk) {
  const { player, timeline } = desk;
  const setEdge = (edge, index) => {
    const flag = desk.selectedFlag;
    const whole = { start_s: player.frames.start(index), end_s: player.frames.end(index) };
    desk.moment(flag.id, flag.start_s === null ? whole : timeline.moved(flag, edge, index), edge, true);
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
    const flag = desk.selectedFlag;
    setEdge(edge, flag.start_s === null ? player.head : timeline.frameAt(flag, edge) + steps);
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
      if (!words && !WITHOUT_WORDS.has(kind)) return desk.say("Select the words first: drag over them, or press W and walk with the arrow keys.");
      const flag = newFlag(kind, words, desk.momentNow());
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
    comment: () => desk.flags.focusComment(),
    deleteFlag: (id = null) => desk.change((work) => withoutFlag(work, id ?? desk.selectedId)),
    verdict: (verdict) => {
      desk.change((work) => withVerdict(work, verdict));
      desk.select(null);
      if (verdict === "accept" && desk.work.flags.some((flag) => flag.severity >= MISLEADING)) desk.say("Accepted although a flag is major or critical. Is the text fit to train on as it stands?");
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
    submit: () => desk.submit(),
    undo: () => desk.goBack("undo"),
    redo: () => desk.goBack("redo"),
  };
}

function around(desk) {
  const { player, text, screen } = desk;
  return {
    escape: () => {
      const focused = document.activeElement;
      if (desk.editing) return desk.edit(false);
      if (screen.root.contains(focused) && focused !== document.body) focused.blur();
      if (focused?.matches("input, textarea")) return undefined;
      player.setLoop(null);
      desk.marks = NO_MARKS;
      text.clear();
      return desk.select(null);
    },
    recent: async () => {
      const { status, body } = await ask("/api/desk/recent");
      if (status === 200) showRecent(screen.root, body.items, (candidateId) => desk.fetchItem(candidateId));
      else desk.say(body.error);
    },
    guide: async () => {
      const answer = await fetch(new URL("../guidelines.md", import.meta.url));
      showGuide(screen.root, await answer.text());
    },
    help: () => showHelp(screen.root, desk.keys.list),
    backToQueue: () => desk.fetchNext(),
  };
}
