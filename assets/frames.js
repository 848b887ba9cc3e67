// The page Frames: what four ways of pooling make of a clip, window by window, beside the video. Entry: `mount(element, offered)`.
import { Keymap } from "./desk/keymap.js";
import { showKeys } from "./desk/key_help.js";
import { Keys } from "./desk/keys.js";
import { openPage } from "./desk/opening.js";
import { Player } from "./desk/player.js";
import { Inspector } from "./frames/inspector.js";
import { framesKeys } from "./frames/keys.js";
import { Matrix } from "./frames/matrix.js";
import { showPicker } from "./frames/picker.js";
import { Pooled, fetchJson } from "./frames/pooled.js";
import { buildScreen, showPlain, showState, stampOf } from "./frames/screen.js";
import { Settings } from "./frames/settings.js";

const FIRST_METHOD = "WA";
const INSIDE_S = 1e-4; // finer than any frame; what rounding may do to a time

/** Put the page into `element` and open the clip that the address names, else the first one. */
export async function mount(element, offered) {
  const page = await openPage(element, ["desk.css", "frames.css"], () => new FramesPage(offered));
  await page.start(new URLSearchParams(location.search));
}

/** One clip, a stretch of its windows, and the picture that is looked at: `chosen` by a click, `looked` by pointing or focus. */
class FramesPage {
  constructor(offered) {
    Object.assign(this, { clip: null, openings: 0, first: 0, preview: null, chosen: { name: "1", method: FIRST_METHOD }, looked: null });
    this.player = new Player({
      onFrame: (index) => this.#drawFrame(index), onPlaying: (playing) => this.#drawPlaying(playing), onReady: () => {}, onProblem: (problem) => this.#drawProblem(problem),
    });
    this.matrix = new Matrix({ onLook: (place) => this.#look(place), onChoose: (place) => this.#choose(place) });
    this.inspector = new Inspector();
    this.settings = new Settings(offered, () => this.#changed());
    this.pooled = new Pooled((state) => showState(this.screen, state, this.clip));
    const acts = this.#acts();
    this.screen = buildScreen(acts, this);
    this.keymap = new Keymap(framesKeys(), () => {
      this.keys.use(this.keymap.list);
      this.keymap.hint(this.screen.root);
    });
    this.keys = new Keys(this.keymap.list, acts, () => (this.clip ? ["anywhere", "always"] : ["anywhere"]));
  }

  /** Hear keys, and what the video is sent to. */
  listen() {
    const { root } = this.screen;
    this.keymap.open("eyewitness/frames-keys", localStorage);
    document.addEventListener("keydown", (event) => {
      if (root.checkVisibility() && !document.querySelector("dialog[open]")) this.keys.press(event);
    });
  }

  /** Open what an address names. */
  async start(address) {
    this.settings.read(address);
    this.first = Math.max(0, Math.trunc(Number(address.get("first")) || 0));
    const id = address.get("clip");
    if (id) return this.open(id);
    const { status, body } = await fetchJson("/api/frames/clips");
    if (status !== 200) return this.#refuse("The clips did not come", { sentence: body.error, status, again: () => this.start(address) });
    const [first] = [...body.clips.filter((one) => !one.problem), ...body.clips];
    return first ? this.open(first.id) : this.#refuse("No clips are here yet", { sentence: "Clips come in with an import, which admins do on the page Import." });
  }

  /** Open a clip at window number `first`; who opens another one meanwhile gets that one. */
  async open(id, first = this.first) {
    this.openings += 1;
    const { openings } = this;
    const { status, body } = await fetchJson(`/api/frames/clip/${encodeURIComponent(id)}`);
    if (openings !== this.openings) return undefined;
    if (status !== 200) return this.#refuse("This clip cannot be opened", { sentence: body.error, status, again: () => this.open(id, first) });
    const { screen, player } = this;
    [screen.work.hidden, screen.plain.hidden] = [false, true];
    Object.assign(this, { clip: body, first, preview: null, looked: null, chosen: { ...this.chosen, name: String(first + 1) } });
    screen.name.textContent = body.name;
    screen.dataset.textContent = body.dataset;
    screen.root.dataset.clip = body.id;
    screen.loop.setAttribute("aria-pressed", "false");
    this.matrix.clear();
    this.inspector.clear();
    screen.pager(null);
    player.load({ url: body.media_digest && `/media/${body.media_digest}`, start_s: body.start_s, end_s: body.end_s, frames: body.frames });
    this.#measure();
    if (!body.problem) return this.#fetch();
    this.matrix.wait(false);
    screen.root.dataset.ready = "true";
    return this.pooled.refuse(body.problem);
  }

  /** Show words in place of a clip; what was shown before rests. */
  #refuse(title, why) {
    if (this.clip) this.player.pause();
    Object.assign(this, { clip: null, preview: null, looked: null });
    this.pooled.callOff();
    this.screen.root.dataset.ready = "true";
    this.screen.pager(null);
    showPlain(this.screen, title, why);
  }

  /** Other settings: the same moment of the clip stays in sight. */
  #changed() {
    if (!this.clip || this.clip.problem) return;
    const { window_s: windowS } = this.settings.values;
    if (this.preview && windowS > 0 && windowS !== this.asked.window_s) this.first = this.#firstBy(windowS);
    this.#fetch();
  }

  /** Return the first window to show when they are `windowS` long: it begins where the first one does that is shown, if the chosen one is then in sight. */
  #firstBy(windowS) {
    const { windows, first, count, window_s: shownS } = this.preview;
    if (windowS === shownS) return first;
    const [there, chosen] = [windows[0], this.#chosenWindow].map((one) => Math.max(0, Math.floor(one.start_s / windowS + INSIDE_S)));
    return chosen < there + count ? there : chosen;
  }

  /** Show windows from number `first` on. */
  goTo(first) {
    if (!this.clip || this.clip.problem) return;
    const there = Math.max(0, Math.min(first, (this.preview?.total ?? Infinity) - 1));
    if (there === this.first && this.preview) {
      this.screen.pager(this.preview); // whatever number was typed
      return;
    }
    this.first = there;
    this.#fetch();
  }

  async #fetch() {
    const { clip, first } = this;
    const asked = this.settings.query(first);
    this.asked = this.settings.values;
    const { window_s, weights } = this.asked;
    this.#address(asked);
    Object.assign(this.screen.root.dataset, { ready: "false", old: "true" });
    this.matrix.wait(true);
    const preview = await this.pooled.fetch(clip.id, asked);
    if (preview === undefined || clip !== this.clip) return; // overtaken by another wish, whose answer comes
    this.matrix.wait(false);
    Object.assign(this.screen.root.dataset, { ready: "true", old: String(preview === null) });
    if (preview === null) return;
    const before = this.preview && this.preview.window_s !== window_s ? this.#chosenWindow : null;
    this.preview = { ...preview, window_s, weights };
    // Windows keep their number; those of another length are found by their time.
    this.chosen = { ...this.chosen, name: ((before && this.#windowAt(before.start_s + INSIDE_S)) ?? this.#chosenWindow).name };
    this.looked = null;
    this.matrix.show(preview);
    this.screen.pager(preview);
    this.draw();
    this.#drawFrame(this.player.head);
  }

  /** Keep in the address what is shown, so that it can be handed on. */
  #address(asked) {
    const kept = new URLSearchParams([["clip", this.clip.id], ...this.settings.unusual(asked)]);
    history.replaceState(history.state, "", `${location.pathname}?${kept}`);
  }

  #acts() {
    return {
      togglePlay: () => this.player.toggle(),
      step: (count) => this.player.step(count),
      page: (way) => this.#turn(way),
      goTo: (first) => this.goTo(first),
      here: () => this.#here(),
      switchWeights: () => this.settings.switchWeights(),
      toggleLoop: () => this.#loop(this.player.loop === null),
      seek: (index) => this.player.seek(index),
      pick: () => showPicker(this.screen.root, this.clip?.id, (id) => this.open(id, 0)),
      help: () => showKeys(this.screen.root, this.keymap),
      retry: () => this.#fetch(),
    };
  }

  /** Show the windows after those that are shown (1), or before them (-1). */
  #turn(way) {
    if (!this.preview) return;
    const there = this.first + way * this.preview.count;
    if (there < this.preview.total) this.goTo(there);
  }

  /** Go to the window in which the video stands: POVQA's code counts frames, ours counts time. */
  #here() {
    if (!this.preview) return;
    const { head, frames } = this.player;
    const { window_s: windowS, frames_each: framesEach } = this.preview;
    const at = frames.start(head) + INSIDE_S;
    const found = this.#windowAt(at);
    if (found) this.#choose({ ...this.chosen, name: found.name }, false);
    else this.goTo(Math.floor(framesEach ? head / framesEach : at / windowS));
  }

  /** The window that was chosen; where shots cut it no more, or newly, the one with its number; the first one when that is not shown. */
  get #chosenWindow() {
    const { windows } = this.preview;
    const { name } = this.chosen;
    return windows.find((one) => one.name === name) ?? windows.find((one) => parseInt(one.name, 10) === parseInt(name, 10)) ?? windows[0];
  }

  #windowAt(timeS) {
    return this.preview?.windows.find((one) => one.start_s <= timeS && timeS < one.end_s) ?? null;
  }

  #look(place) {
    this.looked = place;
    this.draw();
  }

  /** Keep a picture in sight, and send the video to its window. */
  #choose(place, seeks = true) {
    this.chosen = place;
    this.looked = null;
    this.draw();
    const range = this.#range;
    if (!seeks || !range) return;
    if (this.player.loop) this.#loop(true);
    else this.player.step(range[0] - this.player.head);
  }

  /** The frames of the chosen window as `[first, last]`, or null. */
  get #range() {
    const found = this.preview && this.#chosenWindow;
    const { frames } = this.player;
    return found ? [frames.at(found.start_s + INSIDE_S), frames.at(Math.max(found.start_s, found.end_s - INSIDE_S))] : null;
  }

  #loop(on) {
    const range = on ? this.#range : null;
    this.player.setLoop(range);
    this.screen.loop.setAttribute("aria-pressed", String(range !== null));
  }

  /** Draw what is looked at, else what was chosen. */
  draw() {
    if (!this.preview) return;
    const chosen = { ...this.chosen, name: this.#chosenWindow.name };
    const place = this.looked ?? chosen;
    this.matrix.mark(chosen);
    this.inspector.show(this.preview, place);
  }

  /** The player may learn the clip's length only from the file. */
  #measure() {
    this.measured = this.player.frames;
    Object.assign(this.screen.seek, { max: this.player.frames.count - 1 });
  }

  #drawFrame(index) {
    if (!this.clip) return;
    const { player, screen } = this;
    if (this.measured !== player.frames) this.#measure();
    screen.stamp.textContent = stampOf(player.frames, index);
    screen.seek.value = index;
    screen.seek.setAttribute("aria-valuetext", stampOf(player.frames, index));
    this.matrix.play(this.#windowAt(player.frames.start(index) + INSIDE_S)?.name ?? null);
  }

  #drawPlaying(playing) {
    this.screen.play.textContent = playing ? "❚❚" : "▶";
  }

  #drawProblem(problem) {
    const { screen } = this;
    screen.unplayed.textContent = problem ? "The video cannot be played here." : "";
    screen.unplayed.hidden = problem === null;
  }
}
