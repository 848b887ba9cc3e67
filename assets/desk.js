// The annotation desk: a clip beside a text, and what an annotator says of it. Entry: `mount(element)`.
import { NO_MARKS, actsOf } from "./desk/acts.js";
import { ask } from "./desk/api.js";
import { ActiveClock } from "./desk/clock.js";
import { drawFinished, drawFrame, drawWork } from "./desk/drawing.js";
import { button, el } from "./desk/elements.js";
import { FlagList } from "./desk/flags.js";
import { Keys, allKeys } from "./desk/keys.js";
import { storedName } from "./desk/outbox.js";
import { Player } from "./desk/player.js";
import { questionPanel } from "./desk/question.js";
import { openOutbox } from "./desk/saving.js";
import { buildScreen, showKind, showPlain } from "./desk/screen.js";
import { TextPanel } from "./desk/text.js";
import { Timeline } from "./desk/timeline.js";
import { VerdictBar } from "./desk/verdict.js";
import { History, emptyWork, withFlagChanged } from "./desk/work.js";

const LOOK_AGAIN_MS = 30_000;
const MESSAGE_MS = 8_000;
const WORTH_SAVING_S = 5;

/** Put the desk into `element` and fetch the first item. */
export async function mount(element) {
  const answers = [fetch(new URL("taxonomy.json", import.meta.url)).then((answer) => answer.json()), addStyle(new URL("desk.css", import.meta.url).href)];
  const [taxonomy] = await Promise.all(answers);
  const desk = new Desk(taxonomy);
  element.replaceChildren(desk.screen.root);
  desk.listen();
  await desk.fetchNext();
}

function addStyle(href) {
  if (document.querySelector(`link[href="${href}"]`)) return null;
  return new Promise((resolve) => {
    document.head.append(el("link", { rel: "stylesheet", href, on: { load: resolve, error: resolve } }));
  });
}

/** One annotator at work: holds the item and the work on it, and keeps screen and outbox in step. */
class Desk {
  constructor(taxonomy) {
    Object.assign(this, { item: null, work: emptyWork(), selectedId: null, marks: NO_MARKS, loopedId: null, digits: 0, evidenceShown: false, editing: false, busy: false, outbox: null });
    this.clock = new ActiveClock();
    this.player = new Player({
      onFrame: (index) => this.#drawFrame(index), onPlaying: (playing) => this.#drawPlaying(playing), onReady: () => this.#ready(), onProblem: (problem) => this.#drawProblem(problem),
    });
    this.timeline = new Timeline({ onSeek: (index) => this.player.seek(index), onFlag: (id) => this.select(id, true), onMoment: (...given) => this.moment(...given) });
    this.text = new TextPanel({ onFlag: (id) => this.select(id, true) });
    this.flags = new FlagList(taxonomy, {
      onSelect: (id) => this.select(id, true), onChange: (id, changes, merge) => this.change((work) => withFlagChanged(work, id, changes), merge),
      onDelete: (id) => acts.deleteFlag(id), onLoop: (id) => this.select(id, true), onProblem: (sentence) => (sentence === null ? this.hush("field") : this.say(sentence, "field")),
    });
    const late = (name) => (...given) => acts[name](...given);
    this.verdict = new VerdictBar(taxonomy, { onRate: late("setRating"), onVerdict: late("verdict"), onEdit: late("edit"), onSubmit: late("submit") });
    const acts = {};
    this.screen = buildScreen(taxonomy, acts, this);
    Object.assign(acts, actsOf(this));
    this.keys = new Keys(allKeys(taxonomy), acts, () => this.#scopes());
  }

  /** Hear keys, typing, signs of life, and the page coming and going. */
  listen() {
    const { screen } = this;
    const alive = () => this.clock.alive();
    document.addEventListener("keydown", (event) => {
      alive();
      if (screen.root.checkVisibility() && !document.querySelector("dialog[open]")) this.keys.press(event);
    });
    for (const sign of ["pointermove", "pointerdown", "wheel"]) document.addEventListener(sign, alive, { passive: true });
    screen.note.addEventListener("input", () => this.change((work) => ({ ...work, note: screen.note.value }), "note"));
    screen.editor.addEventListener("input", () => this.change((work) => ({ ...work, edited_text: screen.editor.value === this.item.text ? null : screen.editor.value }), "edit"));
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#leave() : this.outbox?.retry()));
    window.addEventListener("pagehide", () => this.#leave());
    window.addEventListener("beforeunload", (event) => {
      this.#leave();
      if (this.outbox?.storageFull && !this.outbox.empty) event.preventDefault();
    });
    for (const back of ["online", "focus"]) window.addEventListener(back, () => this.outbox?.retry());
    const fit = () => screen.root.style.setProperty("--top", `${Math.round(screen.root.getBoundingClientRect().top + window.scrollY)}px`);
    new ResizeObserver(fit).observe(screen.root.parentElement);
    fit();
  }

  #scopes() {
    if (!this.item || this.screen.work.hidden) return ["anywhere"];
    return ["anywhere", "always", this.selectedId ? "flag" : "item", this.text.focused ? "words" : "watch"];
  }

  /** Fetch the item that waits for this annotator. */
  async fetchNext() {
    await this.#fetch("/api/desk/item", () => this.fetchNext());
  }

  /** Fetch an item that this annotator had before. */
  async fetchItem(candidateId) {
    await this.#fetch(`/api/desk/item/${encodeURIComponent(candidateId)}`, () => this.fetchItem(candidateId));
  }

  async #fetch(path, again) {
    const { status, body } = await ask(path);
    if (status === 200) this.receive(body);
    else if (status === 401) showPlain(this.screen, "You are signed out", [body.error], el("a", { href: "/login", class: "ew-go" }, "Sign in"));
    else showPlain(this.screen, "The next item did not come", [body.error], button({ class: "ew-go", on: { click: again } }, "Try again"));
  }

  /** Show what the server sent: an item, or that nothing waits. */
  receive({ annotator, next, upcoming, finished }) {
    clearTimeout(this.lookAgain);
    if (this.outbox?.annotator !== annotator) this.outbox = openOutbox(this, annotator, next?.candidate_id);
    if (next) this.#show(next, upcoming);
    else this.#showFinished(finished);
  }

  #show(item, upcoming) {
    const { screen, player } = this;
    const unsent = this.outbox.open(item.candidate_id, item.sequence);
    this.work = { ...emptyWork(), ...(unsent?.work ?? item.work) };
    Object.assign(this, { item, upcoming, history: new History(), selectedId: null, marks: NO_MARKS, digits: 0, touched: false });
    this.busy = unsent !== null && unsent.kind !== "draft";
    this.watchedName = storedName("watched", this.outbox.annotator, item.candidate_id);
    this.clock.reset(this.work.seconds_spent);
    [screen.work.hidden, screen.plain.hidden, screen.toast.hidden] = [false, true, true];
    Object.assign(screen.root.dataset, { candidate: item.candidate_id, ready: "false" });
    this.#closeEditor();
    this.text.show(item.text);
    showKind(screen, item.kind);
    screen.question.replaceChildren(questionPanel(item));
    player.load({ url: item.media_digest && `/media/${item.media_digest}`, start_s: item.start_s, end_s: item.end_s, frames: item.frames }, this.#watchedBefore());
    this.#measure();
    this.draw();
  }

  /** The player may learn the clip's length only from the file. */
  #measure() {
    this.measured = this.player.frames;
    this.timeline.show(this.player.frames, this.item);
    this.timeline.toggleEvidence(this.evidenceShown);
    this.timeline.watched(this.player.watchedRanges);
  }

  async #showFinished(finished) {
    this.item = null;
    const { body } = finished.done === 0 ? await ask("/api/me") : { body: {} };
    if (this.item) return;
    Object.assign(this.screen.root.dataset, { candidate: "", ready: "true" });
    drawFinished(this, finished, body.role, () => this.fetchNext());
    this.lookAgain = setTimeout(() => document.hidden || this.item || this.fetchNext(), LOOK_AGAIN_MS);
  }

  /** Make an act: keep the work that `changed` returns, let it be undone, draw it. Return whether it was possible now. */
  change(changed, merge = null) {
    if (!this.item) return false;
    if (this.busy) {
      this.say("This item is on its way to the server and cannot be changed now.");
      return false;
    }
    this.history.note(this.work, merge);
    this.work = changed(this.work);
    this.save("draft");
    this.draw();
    return true;
  }

  /** Take back the last act, or do it again. */
  goBack(way) {
    const work = this.busy ? null : this.history[way](this.work);
    if (work === null) return this.say(way === "undo" ? "Nothing is left to undo." : "Nothing is left to do again.");
    this.work = work;
    this.save("draft");
    if (this.editing) this.screen.editor.value = work.edited_text ?? this.item.text;
    return this.draw();
  }

  /** Send the work as it stands; the next item comes with the answer. */
  submit() {
    if (this.busy) return;
    this.edit(false);
    this.busy = true;
    this.save(this.work.verdict === "skip" ? "skip" : "submit");
    this.draw();
  }

  /** Hand the work as it stands to the outbox. */
  save(kind) {
    this.touched = true;
    this.savedAt_s = this.clock.seconds;
    this.outbox.put(this.item.candidate_id, kind, this.payload());
  }

  /** Return the work as it is sent: with the time spent and the share watched. */
  payload() {
    return { ...this.work, seconds_spent: this.clock.seconds, watched_share: Math.min(1, Math.round(this.watchedShare * 1e4) / 1e4) };
  }

  /** Return the share of the clip that was watched; what was saved from another browser counts too. */
  get watchedShare() {
    return Math.max(this.item.work?.watched_share ?? 0, this.player.watchedShare);
  }

  /** Select a flag, or none; with `loop` play its moment over and over. */
  select(id, loop = false) {
    this.selectedId = id;
    const flag = this.selectedFlag;
    if (loop && flag && flag.start_s !== null) this.startLoop();
    this.draw();
  }

  /** Play the selected flag's moment, the marks, or what was played last over and over. */
  startLoop() {
    this.loopedId = this.selectedFlag?.start_s != null ? this.selectedId : null;
    this.player.setLoop(this.loopRange());
  }

  get selectedFlag() {
    return this.work.flags.find((flag) => flag.id === this.selectedId) ?? null;
  }

  /** Set a flag's moment and show the frame at the edge that moved; the moves of one drag are undone as one. */
  moment(id, moment, edge, ended) {
    this.change((work) => withFlagChanged(work, id, moment), `moment ${id} ${edge}`);
    if (this.player.playing) this.player.toggle();
    this.player.loop = null;
    this.player.seek(this.timeline.frameAt(moment, edge));
    if (ended) this.history.merge = null;
  }

  /** Return what a loop would play: the selected flag's moment, the marks, or what was played last. */
  loopRange() {
    const { frames, played } = this.player;
    const span = this.selectedFlag?.start_s != null ? this.selectedFlag : this.marks;
    if (span.start_s === null || span.end_s === null) return played[0] === played[1] ? [0, frames.count - 1] : played;
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
    if (this.saidAbout === about) this.screen.toast.hidden = true;
  }

  /** Draw everything that hangs on the work. */
  draw() {
    if (!this.item) return;
    this.#endLoopOfNothing();
    if (!this.selectedFlag) this.selectedId = null;
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
    this.#keepWatched();
    this.#drawFrame(this.player.head);
    this.screen.loop.setAttribute("aria-pressed", String(this.player.loop !== null));
  }

  #ready() {
    this.screen.root.dataset.ready = "true";
    if (this.upcoming) this.player.preload(`/media/${this.upcoming}`);
  }

  #drawProblem(problem) {
    this.screen.problem.textContent = problem ?? "";
    this.screen.problem.hidden = problem === null;
    if (problem !== null) this.screen.root.dataset.ready = "true";
  }

  #leave() {
    if (!this.outbox || !this.item) return;
    this.#keepWatched();
    // The time spent and the share watched went on since the last act.
    if (this.touched && !this.busy && this.outbox.empty && this.clock.seconds - this.savedAt_s > WORTH_SAVING_S) this.save("draft");
    this.outbox.leave();
  }

  #keepWatched() {
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
