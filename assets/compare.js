// The page Compare: two texts about one clip beside each other, blind, and which of them is better. Entry: `mount(element)`.
import { actsOf } from "./compare/acts.js";
import { wordDiff } from "./compare/diff.js";
import { CHOICES, compareKeys } from "./compare/keys.js";
import { buildScreen, showKind, showPlain, showSaved, showText } from "./compare/screen.js";
import { ask } from "./desk/api.js";
import { ActiveClock } from "./desk/clock.js";
import { button, clockTime, el, newId } from "./desk/elements.js";
import { Keymap } from "./desk/keymap.js";
import { Keys } from "./desk/keys.js";
import { openPage } from "./desk/opening.js";
import { Player } from "./desk/player.js";
import { questionPanel } from "./desk/question.js";
import { Outbox } from "./desk/small_outbox.js";
import { Timeline } from "./desk/timeline.js";

const LOOK_AGAIN_MS = 60_000;
const MESSAGE_MS = 8_000;
const WATCHED_DRAWN_MS = 250;
const CLOSED_MS = 250; // a key pressed twice does not judge texts that nobody has seen yet
const MOST_COUNTED = 101;

/** Put the page into `element` and fetch the first two texts. */
export async function mount(element) {
  const page = await openPage(element, ["desk.css", "compare.css"], () => new Compare());
  await page.fetchNext();
}

/** One annotator at work: the pair on screen, the one after it, and those that were chosen since the page was opened. */
class Compare {
  constructor() {
    Object.assign(this, { item: null, upcoming: null, past: [], outbox: null, evidenceShown: false, diffShown: false, showsAnswer: false });
    this.clock = new ActiveClock();
    this.player = new Player({
      onFrame: (index) => this.#drawFrame(index), onPlaying: (playing) => this.#drawPlaying(playing), onReady: () => this.#ready(), onProblem: (problem) => this.#drawProblem(problem),
    });
    this.timeline = new Timeline({ onSeek: (index) => this.player.seek(index), onFlag: () => {}, onMoment: () => {} });
    const acts = {};
    this.screen = buildScreen(acts, this);
    Object.assign(acts, actsOf(this));
    this.keymap = new Keymap(compareKeys(), () => {
      this.keys.use(this.keymap.list);
      this.keymap.hint(this.screen.root);
    });
    this.keys = new Keys(this.keymap.list, acts, () => (this.item ? ["anywhere", "always", "watch", "judge"] : ["anywhere"]));
  }

  /** Hear keys, signs of life, and the network and the window coming back. */
  listen() {
    const { root } = this.screen;
    const alive = () => this.clock.alive();
    document.addEventListener("keydown", (event) => {
      alive();
      if (root.checkVisibility() && !document.querySelector("dialog[open]")) this.keys.press(event);
    });
    for (const sign of ["pointermove", "pointerdown", "wheel"]) document.addEventListener(sign, alive, { passive: true });
    document.addEventListener("visibilitychange", () => document.hidden || this.outbox?.retry());
    for (const back of ["online", "focus"]) window.addEventListener(back, () => this.outbox?.retry());
  }

  /** Play what was played last over and over. */
  startLoop() {
    this.player.setLoop(this.player.playedRange);
  }

  /** Fetch the two texts that wait for this annotator. */
  async fetchNext() {
    const { status, body } = await ask("/api/compare/next");
    if (status === 200) return this.#meet(body);
    const [title, way] = status === 401
      ? ["You are signed out", el("a", { href: "/login?next=/compare", class: "ew-go" }, "Sign in")]
      : ["The next texts did not come", button({ class: "ew-go", on: { click: () => this.fetchNext() } }, "Try again")];
    this.#blank();
    return showPlain(this.screen, title, [body.error], way);
  }

  /** Know who is at work. What an earlier page left unsent goes out before anything is shown: it may be about these very texts. */
  #meet(answer) {
    if (this.outbox?.person !== answer.annotator) this.#open(answer.annotator);
    if (this.outbox.empty) this.#take(answer);
    else this.#wait();
  }

  #open(annotator) {
    this.outbox = new Outbox(annotator, {
      send: (act, body) => ask(`/api/compare/${act}`, { method: "POST", body, annotator, keepalive: true }), onState: (state) => showSaved(this.screen, state),
      onSaved: (act, sent, answer) => this.outbox.empty && this.#take(answer), onRefused: (act, sent, sentence) => this.#refused(act, sentence),
    }, "compare");
    Object.assign(this, { past: [], item: null });
    this.keymap.open(`eyewitness/compare-keys/${encodeURIComponent(annotator)}`);
    this.outbox.start();
  }

  /** Take what the server says comes next. What is on screen stays there: the server counts on it, or has put a repeat before it meanwhile. */
  #take({ next, upcoming, done, waiting }) {
    this.screen.count.textContent = `${done} compared, ${waiting >= MOST_COUNTED ? `${MOST_COUNTED - 1}+` : waiting} to compare`;
    if (this.item && !this.showsAnswer) {
      this.upcoming = [next, upcoming].find((one) => one && one.item_id !== this.item.item_id) ?? null;
      this.#preload();
      return;
    }
    Object.assign(this, { upcoming, showsAnswer: false });
    if (next) this.#show(next);
    else this.#showFinished(done);
  }

  #refused(act, sentence) {
    this.showsAnswer = false;
    this.screen.last.textContent = "";
    this.say(sentence);
    if (act !== "undo" || !this.item) this.fetchNext();
  }

  #show(item) {
    const { screen, player } = this;
    clearInterval(this.lookAgain);
    this.item = item;
    this.clock.reset(0);
    [screen.work.hidden, screen.plain.hidden, screen.toast.hidden] = [false, true, true];
    Object.assign(screen.root.dataset, { item: item.item_id, ready: "false", open: "false" });
    clearTimeout(this.opening);
    this.opening = setTimeout(() => { screen.root.dataset.open = "true"; }, CLOSED_MS);
    player.load(clipOf(item));
    showKind(screen, item.kind);
    screen.question.replaceChildren(questionPanel({ ...item.clip, kind: item.kind }));
    for (const { text } of [screen.left, screen.right]) text.scrollTop = 0;
    this.drawTexts();
    this.#measure();
    this.draw();
  }

  #showFinished(done) {
    this.#blank();
    const again = button({ class: "ew-go", id: "compare-look-again", on: { click: () => this.fetchNext() } }, "Look again");
    const lines = done === 0
      ? ["Two texts about the same clip or question are needed. They come in with imports and edits, and appear here by themselves.", "Texts that you wrote or edited are left to others."]
      : ["New ones appear here by themselves. Undo takes the last choice back.", "Texts that you wrote or edited are left to others."];
    showPlain(this.screen, done === 0 ? "Nothing waits to be compared" : "You have compared all that waits", lines, again);
    clearInterval(this.lookAgain);
    this.lookAgain = setInterval(() => document.hidden || this.item || this.fetchNext(), LOOK_AGAIN_MS);
  }

  #wait() {
    this.#blank();
    this.screen.root.dataset.ready = "false";
    showPlain(this.screen, "The next texts are on their way", ["What you chose is kept in this browser and is being sent."]);
  }

  #blank() {
    if (this.item) this.player.pause();
    this.item = null;
    Object.assign(this.screen.root.dataset, { item: "", ready: "true", open: "false" });
  }

  /** Keep a choice and show the next two texts at once; the server hears of it meanwhile. */
  choose(choice) {
    const { item, screen } = this;
    if (!item || screen.root.dataset.open !== "true") return;
    const outcome = item[choice]?.id ?? choice;
    this.past.push(item);
    this.outbox.put("choose", { id: newId(), item_id: item.item_id, outcome, seconds_spent: this.clock.seconds, client_at: new Date().toISOString() });
    screen.last.textContent = `last: ${CHOICES.find((one) => one.choice === choice).said}`;
    const next = this.upcoming;
    Object.assign(this, { item: null, upcoming: null });
    if (next && next.item_id !== item.item_id) this.#show(next);
    else this.#wait();
  }

  /** Take the last choice back: one of this page is shown at once, one from before a reload when the server has found it. */
  undo() {
    if (!this.outbox) return;
    const before = this.past.pop() ?? null;
    this.screen.last.textContent = "taken back";
    if (before) {
      this.upcoming = this.item ?? this.upcoming;
      this.#show(before);
    } else {
      this.showsAnswer = true;
    }
    this.outbox.put("undo", { id: newId(), item_id: before?.item_id ?? null, client_at: new Date().toISOString() });
  }

  /** Show a sentence for a while. */
  say(sentence) {
    const { toast } = this.screen;
    toast.textContent = sentence;
    toast.hidden = false;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { toast.hidden = true; }, MESSAGE_MS);
  }

  /** Draw the two texts, with the words that only one of them has marked when that is wanted. */
  drawTexts() {
    const { item, screen, diffShown } = this;
    screen.diff.setAttribute("aria-pressed", String(diffShown));
    if (!item) return;
    const diff = diffShown ? wordDiff(item.left.text, item.right.text) : null;
    screen.note.hidden = !diff || diff.alike;
    screen.note.textContent = screen.note.hidden ? "" : "These two share few words, so their differences are not marked.";
    for (const side of ["left", "right"]) showText(screen[side], item[side].text, diff?.alike ? diff[side] : null);
  }

  /** Draw what hangs on the player. */
  draw() {
    this.screen.loop.setAttribute("aria-pressed", String(this.player.loop !== null));
    this.screen.evidence.setAttribute("aria-pressed", String(this.evidenceShown));
    this.keymap.hint(this.screen.root);
  }

  /** The player may learn the clip's length only from the file. */
  #measure() {
    this.measured = this.player.frames;
    this.timeline.show(this.player.frames, this.item.clip);
    this.timeline.toggleEvidence(this.evidenceShown);
    this.timeline.watched(this.player.watchedRanges);
  }

  #drawFrame(index) {
    if (!this.item) return;
    const { player, screen, timeline } = this;
    if (this.measured !== player.frames) this.#measure();
    if (player.playing) this.clock.alive();
    screen.stamp.textContent = `${clockTime(player.frames.start(index))}${player.frames.exact ? ` · frame ${index + 1} of ${player.frames.count}` : ""}`;
    timeline.place(index);
    const now = performance.now();
    if (player.playing && now - (this.watchedDrawn ?? 0) < WATCHED_DRAWN_MS) return;
    this.watchedDrawn = now;
    timeline.watched(player.watchedRanges);
    screen.watched.textContent = `seen ${Math.round(100 * player.watchedShare)} %`;
  }

  #drawPlaying(playing) {
    this.screen.play.textContent = playing ? "❚❚" : "▶";
    if (playing) return;
    this.#drawFrame(this.player.head);
    this.draw();
  }

  #ready() {
    if (!this.item) return;
    this.screen.root.dataset.ready = "true";
    this.#preload();
  }

  #preload() {
    if (this.upcoming && this.screen.root.dataset.ready === "true") this.player.preload(clipOf(this.upcoming));
  }

  #drawProblem(problem) {
    this.screen.problem.textContent = problem ?? "";
    this.screen.problem.hidden = problem === null;
    if (problem !== null) this.screen.root.dataset.ready = "true";
  }
}

/** Return where an item's clip is found, as the player wants it. */
function clipOf({ clip: { media_digest, start_s, end_s, frames } }) {
  return { url: media_digest && `/media/${media_digest}`, start_s, end_s, frames };
}
