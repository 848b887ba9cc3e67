// The page Adjudicate: a disputed text with all that its annotators said, and the decision. Entry: `mount(element)`.
import { actsOf } from "./adjudicate/acts.js";
import { Drafts, Past, draftOf, withChanged, without } from "./adjudicate/draft.js";
import { FinalPanel } from "./adjudicate/final.js";
import { adjudicationKeys } from "./adjudicate/keys.js";
import { fetchList } from "./adjudicate/lists.js";
import { buildScreen, showHead, showPlain, showSaved } from "./adjudicate/screen.js";
import { VoiceLanes, Voices, nameOf } from "./adjudicate/voices.js";
import { ask } from "./desk/api.js";
import { button, clockTime, el } from "./desk/elements.js";
import { Keymap } from "./desk/keymap.js";
import { Keys } from "./desk/keys.js";
import { openPage } from "./desk/opening.js";
import { Player } from "./desk/player.js";
import { questionPanel } from "./desk/question.js";
import { Outbox } from "./desk/small_outbox.js";
import { TextPanel } from "./desk/text.js";
import { Timeline } from "./desk/timeline.js";

const MESSAGE_MS = 8_000;
const WATCHED_DRAWN_MS = 250;
const MOST_PUT_OFF = 50; // texts; more of them would make an address too long

/** Put the page into `element` and fetch the worst text that waits. */
export async function mount(element) {
  const page = await openPage(element, ["desk.css", "adjudicate.css"], (taxonomy) => new Adjudication(taxonomy));
  await page.fetchNext();
}

/** One adjudicator at work. `selected` is `{number, id}` for an annotator's flag, `{number: null, id}` for a final one, or null. */
class Adjudication {
  constructor(taxonomy) {
    Object.assign(this, { item: null, draft: null, selected: null, chosen: null, evidenceShown: false, busy: false, outbox: null, later: [] });
    this.player = new Player({
      onFrame: (index) => this.#drawFrame(index), onPlaying: (playing) => this.#drawPlaying(playing), onReady: () => this.#ready(), onProblem: (problem) => this.#drawProblem(problem),
    });
    this.timeline = new Timeline({ onSeek: (index) => this.player.seek(index), onFlag: (id) => this.lookAt(id), onMoment: (id, ...given) => this.#moved(id, given) });
    this.lanes = new VoiceLanes(this.timeline);
    this.text = new TextPanel(taxonomy, { onFlag: (id) => this.lookAt(id), onClaim: (index) => this.text.toClaim(index), onPlace: () => {} });
    const acts = {};
    this.voices = new Voices(taxonomy, { onFlag: (_, id) => this.lookAt(id), onTake: (_, id) => acts.take(id), onAsk: (number) => acts.askNote(number) });
    this.final = new FinalPanel(taxonomy, {
      onSelect: (id) => this.lookAt(id), onChange: (id, changes, merge) => this.change((draft) => withChanged(draft, id, changes), merge), onDelete: (id) => this.change((draft) => without(draft, id)),
      onVerdict: (verdict) => acts.verdict(verdict), onReason: (reason) => this.change((draft) => ({ ...draft, reason }), "reason"), onDecide: () => acts.decide(),
    });
    this.screen = buildScreen(taxonomy, acts, this);
    Object.assign(acts, actsOf(this));
    this.keys = new Keys(adjudicationKeys(taxonomy), acts, () => this.#scopes());
    this.keymap = new Keymap(this.keys.list, () => {
      this.keys.use(this.keymap.list);
      this.keymap.hint(this.screen.root);
    });
  }

  /** Hear keys, and the network and the window coming back. */
  listen() {
    const { root } = this.screen;
    document.addEventListener("keydown", (event) => {
      if (root.checkVisibility() && !document.querySelector("dialog[open]")) this.keys.press(event);
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.outbox?.retry());
    for (const back of ["online", "focus"]) window.addEventListener(back, () => this.outbox?.retry());
  }

  /** Play the selected flag's moment, or what was played last, over and over. */
  startLoop() {
    this.player.setLoop(this.selectedFlag?.start_s != null ? this.rangeOf(this.selectedFlag) : this.player.playedRange);
  }

  #scopes() {
    if (!this.item || this.screen.work.hidden) return ["anywhere"];
    return ["anywhere", "always", this.selectedFinal ? "flag" : "item", this.text.focused ? "words" : "watch"];
  }

  /** Fetch the worst text that waits; those put off come after all others. */
  async fetchNext() {
    this.#receive(await ask(`/api/adjudication/next?${this.#besides}`), () => this.fetchNext());
  }

  get #besides() {
    return new URLSearchParams(this.later.slice(-MOST_PUT_OFF).map((id) => ["besides", id]));
  }

  /** Fetch one text, decided or not. */
  async fetchItem(candidateId) {
    this.#receive(await ask(`/api/adjudication/item/${encodeURIComponent(candidateId)}`), () => this.fetchItem(candidateId));
  }

  #receive({ status, body }, again) {
    if (status === 200) this.#take(body);
    else if (status === 401) showPlain(this.screen, "You are signed out", [body.error], el("a", { href: "/login?next=/adjudicate", class: "ew-go" }, "Sign in"));
    else showPlain(this.screen, "The next text did not come", [body.error], button({ class: "ew-go", on: { click: again } }, "Try again"));
    if (status !== 200) this.screen.root.dataset.ready = "true";
  }

  #take(body) {
    if (this.outbox?.person !== body.person) this.#open(body.person);
    this.#count(body);
    this.upcoming = body.upcoming ?? null;
    if (body.next) this.#show(body.next);
    else this.#showNothing();
  }

  #count({ count, open_questions: open }) {
    if (count !== undefined) this.screen.count.textContent = `${count} disputed text${count === 1 ? "" : "s"} to decide`;
    if (open !== undefined) this.screen.questions.firstChild.textContent = open ? `Questions (${open})` : "Questions";
  }

  #open(person) {
    this.drafts = new Drafts(person);
    this.outbox = new Outbox(person, {
      send: (path, body) => ask(`/api/adjudication/${path}`, { method: "POST", body, annotator: person }),
      onState: (state) => showSaved(this.screen, state), onSaved: (...given) => this.#saved(...given), onRefused: (...given) => this.#refused(...given),
    }, "adjudication");
    this.keymap.open(`eyewitness/adjudication-keys/${encodeURIComponent(person)}`);
    showSaved(this.screen, { state: "saved" });
    this.outbox.start();
  }

  #show(item) {
    const { screen, player } = this;
    const { clip } = item;
    Object.assign(this, { item, draft: this.drafts.read(item) ?? draftOf(item), past: new Past(), selected: null, chosen: null, busy: this.outbox.holds(item.candidate_id) });
    [screen.work.hidden, screen.plain.hidden] = [false, true];
    Object.assign(screen.root.dataset, { candidate: item.candidate_id, ready: "false" });
    this.text.show(item.text, item.claims);
    screen.question.replaceChildren(questionPanel({ ...clip, kind: item.kind }));
    showHead(screen, item);
    player.load({ url: clip.media_digest && `/media/${clip.media_digest}`, start_s: clip.start_s, end_s: clip.end_s, frames: clip.frames });
    this.#measure();
    this.draw();
  }

  #showNothing() {
    this.item = null;
    Object.assign(this.screen.root.dataset, { candidate: "", ready: "true" });
    showPlain(this.screen, "Nothing is disputed", ["Where two people or more judged a text, they agree, or it was decided.", "Decided texts can be opened again from the list. New disputes appear here once a second annotation differs."],
      button({ class: "ew-go", id: "adj-look-again", on: { click: () => this.fetchNext() } }, "Look again"));
  }

  /** The player may learn the clip's length only from the file. */
  #measure() {
    this.measured = this.player.frames;
    this.timeline.show(this.player.frames, this.item.clip);
    this.timeline.toggleEvidence(this.evidenceShown);
  }

  /** Make an act: keep the draft that `changed` returns, let it be undone, draw it. Return whether it was possible now. */
  change(changed, merge = null) {
    if (!this.item || this.busy) return false;
    if (!this.lasting) this.screen.toast.hidden = true;
    this.past.note(this.draft, merge);
    this.#set(changed(this.draft));
    return true;
  }

  /** Take back the last act on this text, or do it again. */
  goBack(way) {
    const draft = this.busy ? null : this.past.turn(way, this.draft);
    if (draft !== null) this.#set(draft);
    else if (way === "redo") this.say("Nothing is left to do again.");
    else this.say(`Nothing is left to undo on this text. To change a decision, open its text from the list (${this.keymap.nameNow("b")}) and decide again.`);
  }

  #set(draft) {
    this.draft = draft;
    if (!this.drafts.keep(this.item, draft)) this.say("This browser has no room to keep the draft: decide before you leave the page.");
    this.draw();
  }

  /** Hand the decision to the outbox; the next text comes when the server has it. */
  send(body) {
    this.busy = true;
    this.outbox.put("decide", body);
    this.draw();
  }

  #saved(path, sent, answer) {
    if (path === "decide") {
      this.drafts.drop(sent.candidate_id);
      if (this.item?.candidate_id === sent.candidate_id) this.#decided(sent, answer.names);
    } else if (path === "ask") {
      this.say("Asked. Answer it under Questions.");
    }
    if (path !== "decide") this.refresh();
  }

  async #decided(sent, names) {
    this.busy = false;
    if (this.upcoming) this.#showUpcoming();
    else await this.fetchNext();
    this.say(`Decided: ${sent.verdict}. ${names.map((name, index) => `Annotator ${index + 1} was ${name}`).join(", ")}.`, true);
  }

  /** Show the text that was fetched ahead, at once, and look for the one after it meanwhile: ranking thousands of texts takes a second. */
  async #showUpcoming() {
    const item = this.upcoming;
    this.upcoming = null;
    this.#show(item);
    const { status, body } = await ask(`/api/adjudication/next?${this.#besides}`);
    if (status !== 200 || this.item !== item || this.upcoming) return;
    this.#count(body);
    this.upcoming = [body.next, body.upcoming].find((one) => one && one.candidate_id !== item.candidate_id) ?? null;
    this.#preload();
  }

  #refused(path, sent, sentence) {
    if (path === "decide" && this.item?.candidate_id === sent.candidate_id) {
      this.busy = false;
      this.fetchItem(sent.candidate_id);
    }
    this.say(sentence, true);
  }

  /** Learn anew what questions this text raised and how many are open; the draft stays. */
  async refresh() {
    const found = await fetchList("issues", (sentence) => this.say(sentence));
    if (!found) return;
    this.#count({ open_questions: found.issues.filter((one) => one.answer === null).length });
    if (!this.item) return;
    this.item.questions = found.issues.filter((one) => one.candidate_id === this.item.candidate_id);
    this.draw();
  }

  /** Return all flags that annotators set, by column. */
  get said() {
    return this.item.voices.flatMap((voice) => voice.flags.map((flag) => ({ number: voice.number, flag })));
  }

  get selectedFinal() {
    return this.selected?.number === null ? this.draft.flags.find((flag) => flag.id === this.selected.id) ?? null : null;
  }

  get selectedFlag() {
    return this.selectedFinal ?? this.said.find(({ flag }) => flag.id === this.selected?.id)?.flag ?? null;
  }

  /** Select a flag of an annotator or a final one, and loop its moment. */
  lookAt(id) {
    const said = this.said.find(({ flag }) => flag.id === id);
    this.selected = { number: said?.number ?? null, id };
    if (said) this.chosen = said.number;
    const flag = this.selectedFlag;
    if (flag?.start_s != null) this.player.setLoop(this.rangeOf(flag));
    this.draw();
  }

  /** Return the frames of a flag's moment as `[first, last]`. */
  rangeOf({ start_s, end_s }) {
    const { frames } = this.player;
    return [frames.at(start_s + 1e-4), frames.at(Math.max(0, end_s - 1e-4))];
  }

  #moved(id, given) {
    const moment = given.find((one) => one && typeof one === "object");
    this.change((draft) => withChanged(draft, id, { start_s: moment.start_s, end_s: moment.end_s }), `moment ${id}`);
    if (this.player.playing) this.player.pause();
    this.player.setLoop(null);
  }

  /** Show a sentence for a while; the next act takes it back, unless it is `lasting`. */
  say(sentence, lasting = false) {
    const { toast } = this.screen;
    this.lasting = lasting;
    [toast.textContent, toast.hidden] = [sentence, false];
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { toast.hidden = true; }, MESSAGE_MS);
  }

  /** Draw everything that hangs on the draft and the selection. */
  draw() {
    if (!this.item) return;
    const { item, draft, voices, final, text, timeline, player, screen } = this;
    if (this.selected && !this.selectedFlag) this.selected = null;
    const selected = this.selected?.id ?? null;
    voices.show(item, draft, { selected, chosen: this.chosen });
    this.lanes.show(item.voices, player.frames, selected, voices.names);
    timeline.flag(draft.flags, selected, voices.names, "words");
    text.flag([...this.said.map(({ flag }) => flag), ...draft.flags.filter((flag) => !this.said.some((one) => one.flag.text_start === flag.text_start && one.flag.text_end === flag.text_end && one.flag.kind === flag.kind))], selected);
    this.#number();
    text.tick(({ start, end }) => item.voices.find((voice) => voice.number === this.chosen)?.ticks.find((tick) => tick.text_start === start && tick.text_end === end)?.support ?? null);
    final.show(item, draft, this.selectedFinal?.id ?? null, this.busy);
    screen.loop.setAttribute("aria-pressed", String(player.loop !== null));
    screen.evidence.setAttribute("aria-pressed", String(this.evidenceShown));
    this.keymap.hint(screen.root);
  }

  /** Write beside the words of each flag which annotator set it; the number is drawn by the style, so that offsets into the text stay. */
  #number() {
    const owners = new Map(this.said.map(({ number, flag }) => [flag.id, String(number)]));
    const names = new Map(this.item.voices.map((voice) => [String(voice.number), nameOf(voice)]));
    const last = new Map();
    for (const mark of this.text.body.querySelectorAll("mark")) {
      mark.title = names.get(owners.get(mark.dataset.flag)) ?? "Final flag of your own";
      delete mark.dataset.who;
      last.set(mark.dataset.flag, mark);
    }
    for (const [id, mark] of last) mark.dataset.who = owners.get(id) ?? "★";
  }

  #drawFrame(index) {
    if (!this.item) return;
    if (this.measured !== this.player.frames) {
      this.#measure();
      this.draw();
    }
    const { frames } = this.player;
    this.screen.stamp.textContent = `${clockTime(frames.start(index))}${frames.exact ? ` · frame ${index + 1} of ${frames.count}` : ""}`;
    this.timeline.place(index);
    const now = performance.now();
    if (this.player.playing && now - (this.watchedDrawn ?? 0) < WATCHED_DRAWN_MS) return;
    this.watchedDrawn = now;
    this.timeline.watched(this.player.watchedRanges);
  }

  #drawPlaying(playing) {
    this.screen.play.textContent = playing ? "❚❚" : "▶";
    this.screen.loop.setAttribute("aria-pressed", String(this.player.loop !== null));
  }

  #ready() {
    this.screen.root.dataset.ready = "true";
    this.#preload();
  }

  #preload() {
    const clip = this.upcoming?.clip;
    if (clip?.media_digest) this.player.preload({ url: `/media/${clip.media_digest}`, start_s: clip.start_s, frames: clip.frames });
  }

  #drawProblem(problem) {
    this.screen.problem.textContent = problem ?? "";
    this.screen.problem.hidden = problem === null;
    if (problem !== null) this.screen.root.dataset.ready = "true";
  }
}
