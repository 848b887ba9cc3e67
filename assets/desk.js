// The annotation desk: a clip beside a text, and what an annotator says of it. Entry: `mount(element)`.
import { actsOf } from "./desk/acts.js";
import { BlindPanel } from "./desk/blind.js";
import { ClaimLine } from "./desk/claims.js";
import { ActiveClock } from "./desk/clock.js";
import { drawFrame, drawPlace, drawWork } from "./desk/drawing.js";
import { FlagList } from "./desk/flags.js";
import { Flow } from "./desk/flow.js";
import { History } from "./desk/history.js";
import { Keymap } from "./desk/keymap.js";
import { Keys, allKeys } from "./desk/keys.js";
import { Notices } from "./desk/notices.js";
import { storedName } from "./desk/outbox.js";
import { openPage } from "./desk/opening.js";
import { NO_MARKS, momentChanges, momentOf } from "./desk/parts.js";
import { Player } from "./desk/player.js";
import { listen } from "./desk/presence.js";
import { questionPanel } from "./desk/question.js";
import { buildScreen, showKind } from "./desk/screen.js";
import { TextPanel } from "./desk/text.js";
import { Timeline } from "./desk/timeline.js";
import { VerdictBar } from "./desk/verdict.js";
import { emptyWork, withFlagChanged } from "./desk/work.js";

const MESSAGE_MS = 8_000;

/** Put the desk into `element` and fetch the first item. */
export async function mount(element) {
  const desk = await openPage(element, ["desk.css"], (taxonomy) => new Desk(taxonomy));
  await desk.flow.fetchNext();
}

/** One annotator at work: holds the item on screen and the work on it, and keeps screen and outbox in step. `Flow` says which item that is. */
class Desk {
  constructor(taxonomy) {
    Object.assign(this, { item: null, work: emptyWork(), selectedId: null, part: "words", chosen: null, marks: NO_MARKS, loopedId: null, digits: 0, evidenceShown: false, editing: false, busy: false, outbox: null, refused: new Map() });
    this.clock = new ActiveClock();
    this.flow = new Flow(this);
    this.notices = new Notices();
    this.history = new History();
    this.player = new Player({
      onFrame: (index) => this.#drawFrame(index), onPlaying: (playing) => this.#drawPlaying(playing), onReady: () => this.#ready(), onProblem: (problem) => this.#drawProblem(problem),
    });
    const late = (name) => (...given) => acts[name](...given);
    this.timeline = new Timeline({ onSeek: (index) => this.player.seek(index), onFlag: (id, part) => this.select(id, true, part), onMoment: (...given) => this.moment(...given) });
    this.text = new TextPanel(taxonomy, { onFlag: (id, part) => this.select(id, true, part), onClaim: late("turnClaim"), onPlace: () => drawPlace(this) });
    this.claims = new ClaimLine(taxonomy, { onStart: late("claims"), onTick: late("tick") });
    this.blind = new BlindPanel({ onChoose: late("choose"), onType: late("typeAnswer"), onAnswer: late("answer"), onSkip: late("skip") });
    this.flags = new FlagList(taxonomy, {
      onSelect: (id, part) => this.select(id, true, part), onPart: (part) => this.usePart(part), onDropOther: late("dropOther"), onDelete: late("deleteFlag"),
      onChange: (id, changes, merge) => this.change((work) => withFlagChanged(work, id, changes), merge),
      onMoment: (id, part, moment) => this.change((work) => withFlagChanged(work, id, momentChanges(work.flags.find((flag) => flag.id === id), part, moment))), onProblem: (sentence) => (sentence === null ? this.hush("field") : this.say(sentence, "field")),
    });
    this.verdict = new VerdictBar(taxonomy, { onRate: late("setRating"), onOmission: late("omission"), onVerdict: late("verdict"), onEdit: late("edit"), onSubmit: late("submit") });
    const acts = {};
    this.screen = buildScreen(taxonomy, acts, this);
    Object.assign(acts, actsOf(this, taxonomy));
    this.keys = new Keys(allKeys(taxonomy), acts, () => this.#scopes());
    this.keymap = new Keymap(this.keys.list, () => {
      this.keys.use(this.keymap.list);
      this.keymap.hint(this.screen.root);
    });
  }

  /** Hear what the person does. */
  listen() {
    listen(this);
  }

  #scopes() {
    if (!this.item || this.screen.work.hidden) return ["anywhere"];
    if (this.asking) return ["anywhere", "always", "ask", "watch"];
    const on = this.text.claim !== null ? "claim" : this.selectedId ? "flag" : "item";
    return ["anywhere", "always", "judge", on, this.text.focused ? "words" : "watch"];
  }

  /** Return whether the item on screen is to be answered before its text is shown. */
  get asking() {
    return Boolean(this.item?.asks_first && !this.item.blind_answer);
  }

  /** Put an item on screen, with the work on it that is newest. */
  show(item) {
    const { screen, player } = this;
    const unsent = this.outbox.open(item);
    this.keepWatched();
    this.work = { ...emptyWork(), ...(unsent ?? item.work) };
    Object.assign(this, { item, selectedId: null, marks: NO_MARKS, digits: 0, touched: false, stays: false });
    this.history.merge = null;
    this.watchedName = storedName("watched", this.outbox.annotator, item.assignment_id);
    this.clock.reset(this.work.seconds_spent);
    [screen.work.hidden, screen.plain.hidden, screen.toast.hidden] = [false, true, true];
    Object.assign(screen.root.dataset, { assignment: item.assignment_id, ready: "false" });
    this.notices.drop("lost");
    this.#closeEditor();
    player.load(clipOf(item), this.#watchedBefore());
    this.unveil(item);
  }

  /** Show the words of the item on screen; of one that asks first they come later than the clip. */
  unveil(item) {
    const { screen } = this;
    this.outbox.open(item);
    Object.assign(this, { item, busy: this.outbox.isAnswering(item.assignment_id) });
    this.chosen = null;
    if (this.asking) this.blind.ask(item.questions[0]);
    this.text.show(item.text ?? "", item.claims);
    showKind(screen, item.kind);
    screen.question.replaceChildren(questionPanel(item));
    this.#measure();
    this.draw();
  }

  /** Take the item off the screen; what stands there instead is said by whoever calls. */
  blank() {
    this.keepWatched();
    if (this.item) this.player.pause();
    this.item = null;
    Object.assign(this.screen.root.dataset, { assignment: "", ready: "true" });
    this.notices.drop("lost");
  }

  /** Load the next item's clip, once the one on screen is there. */
  preload() {
    const [next] = this.flow.ahead;
    if (next && this.screen.root.dataset.ready === "true") this.player.preload(clipOf(next));
  }

  /** The player may learn the clip's length only from the file. */
  #measure() {
    this.measured = this.player.frames;
    this.timeline.show(this.player.frames, this.item);
    this.timeline.toggleEvidence(this.evidenceShown);
    this.timeline.watched(this.player.watchedRanges);
  }

  /** Make an act: keep the work that `changed` returns, let it be undone, draw it. Return whether it was possible now. */
  change(changed, merge = null) {
    if (!this.item) return false;
    if (this.busy) {
      this.say("Your answer is on its way to the server; the item cannot be changed now.");
      return false;
    }
    this.quiet();
    const before = this.work;
    this.work = changed(before);
    this.history.note(this.item.assignment_id, before, this.work, merge);
    this.save("draft");
    this.draw();
    return true;
  }

  /** Take over the work of another window; what was here can be had back by undo. */
  take(work) {
    const before = this.work;
    this.work = { ...emptyWork(), ...work };
    this.history.note(this.item.assignment_id, before, this.work);
  }

  /** Hand the work as it stands to the outbox; before the question is answered the server takes none. */
  save(kind, idle = false) {
    if (this.asking) return;
    this.touched = this.stays = true;
    this.savedAt_s = this.clock.seconds;
    this.outbox.put(this.item.assignment_id, kind, this.payload(), idle);
  }

  /** Return the work as it is sent: with the time spent and the share watched. */
  payload() {
    return { ...this.work, seconds_spent: this.clock.seconds, watched_share: Math.min(1, Math.round(this.watchedShare * 1e4) / 1e4) };
  }

  /** Return the share of the clip that was watched; what was saved from another browser counts too. */
  get watchedShare() {
    return Math.max(this.item.work?.watched_share ?? 0, this.player.watchedShare);
  }

  /** Select a flag, or none, with the part of it that keys work on; with `loop` play its moment over and over. */
  select(id, loop = false, part = "words") {
    Object.assign(this, { selectedId: id, part });
    if (loop && this.selectedMoment.start_s !== null) this.startLoop();
    this.draw();
  }

  /** Let the keys work on one part of the selected flag: "words" or "other". */
  usePart(part) {
    if (part !== this.part) this.select(this.selectedId, false, part);
  }

  /** Play the selected flag's moment, the marks, or what was played last over and over. */
  startLoop() {
    this.loopedId = this.selectedMoment.start_s !== null ? this.selectedId : null;
    this.player.setLoop(this.loopRange());
  }

  get selectedFlag() {
    return this.work.flags.find((flag) => flag.id === this.selectedId) ?? null;
  }

  /** Return the moment of the selected flag's active part; both ends are null where there is none. */
  get selectedMoment() {
    return momentOf(this.selectedFlag, this.part);
  }

  /** Set the moment of the selected flag's active part and show the frame at the edge that moved; the moves of one drag are undone as one. */
  moment(id, moment, edge, ended) {
    this.change((work) => withFlagChanged(work, id, momentChanges(this.selectedFlag, this.part, moment)), `moment ${id} ${this.part} ${edge}`);
    if (this.player.playing) this.player.toggle();
    this.player.loop = null;
    this.player.seek(this.timeline.frameAt(moment, edge));
    if (ended) this.history.merge = null;
  }

  /** Return what a loop would play: the selected flag's moment, the marks, or what was played last. */
  loopRange() {
    const span = this.selectedMoment.start_s !== null ? this.selectedMoment : this.marks;
    if (span.start_s === null || span.end_s === null) return this.player.playedRange;
    return [this.timeline.frameAt(span, "start"), this.timeline.frameAt(span, "end")];
  }

  /** Return the moment that a flag set now gets: the marks, else what was played last; null when nothing was looked at. */
  momentNow() {
    const { frames, played } = this.player;
    if (!this.player.touched && this.marks.start_s === null && this.marks.end_s === null) return null;
    const start_s = this.marks.start_s ?? Math.min(frames.start(played[0]), this.marks.end_s ?? Infinity);
    const end_s = this.marks.end_s ?? Math.max(frames.end(played[1]), this.marks.start_s ?? 0);
    return { start_s, end_s };
  }

  /** Open the text for editing, or go back to the text and its flags. */
  edit(open) {
    if (!this.item || (open && this.busy)) return;
    const { editor } = this.screen;
    if (open) {
      [this.editing, editor.hidden, this.text.body.hidden] = [true, false, true];
      editor.value = this.work.edited_text ?? this.item.text;
      editor.focus();
    } else {
      this.#closeEditor();
    }
    this.draw();
  }

  #closeEditor() {
    const { editor } = this.screen;
    if (document.activeElement === editor) editor.blur();
    [this.editing, editor.hidden, this.text.body.hidden] = [false, true, false];
  }

  /** Show a sentence for a while; `about` names what it is about, so that `hush` can take it back. */
  say(sentence, about = null) {
    const { toast } = this.screen;
    this.saidAbout = about;
    toast.textContent = sentence;
    toast.hidden = false;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { toast.hidden = true; }, MESSAGE_MS);
  }

  /** Take the sentence back, when it is about this. */
  hush(about) {
    if (this.saidAbout === about) this.quiet();
  }

  /** Take the sentence back: something else is done now. */
  quiet() {
    this.screen.toast.hidden = true;
  }

  /** Draw everything that hangs on the work. */
  draw() {
    if (!this.item) return;
    this.#endLoopOfNothing();
    if (!this.selectedFlag) Object.assign(this, { selectedId: null, part: "words" });
    drawWork(this);
  }

  /** Stop the loop of a flag that is not there any more, whoever took it away. */
  #endLoopOfNothing() {
    if (this.loopedId === null || this.work.flags.some((flag) => flag.id === this.loopedId)) return;
    this.loopedId = null;
    if (!this.player.loop) return;
    this.player.setLoop(null);
    if (this.player.playing) this.player.pause();
  }

  #drawFrame(index) {
    if (!this.item) return;
    if (this.measured !== this.player.frames) this.#measure();
    if (this.player.playing) this.clock.alive();
    drawFrame(this, index);
  }

  #drawPlaying(playing) {
    this.screen.play.textContent = playing ? "❚❚" : "▶";
    if (playing) return;
    this.keepWatched();
    this.#drawFrame(this.player.head);
    this.screen.loop.setAttribute("aria-pressed", String(this.player.loop !== null));
  }

  #ready() {
    this.screen.root.dataset.ready = "true";
    this.preload();
  }

  #drawProblem(problem) {
    this.screen.problem.textContent = problem ?? "";
    this.screen.problem.hidden = problem === null;
    if (problem !== null) this.screen.root.dataset.ready = "true";
  }

  /** Keep in this browser which frames were seen. */
  keepWatched() {
    if (!this.item) return;
    try {
      localStorage.setItem(this.watchedName, JSON.stringify(this.player.watchedRanges));
    } catch {
      // Without room for it, only the share that was saved last is known after a reload.
    }
  }

  #watchedBefore() {
    try {
      return JSON.parse(localStorage.getItem(this.watchedName)) ?? [];
    } catch {
      return [];
    }
  }
}

/** Return where an item's clip is found, as the player wants it. */
function clipOf({ media_digest, start_s, end_s, frames }) {
  return { url: media_digest && `/media/${media_digest}`, start_s, end_s, frames };
}
