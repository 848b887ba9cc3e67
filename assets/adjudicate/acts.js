// What each key and button does. An act that changes the decision goes through `page.change`, which keeps the draft and lets it be undone.
import { showKeys } from "../desk/key_help.js";
import { walkingActs, watchingActs } from "../desk/watching.js";
import { newFlag } from "../desk/work.js";
import { takenAs, whyNot, withChanged, withTaken, without } from "./draft.js";
import { fetchList, operation, showList, showQuestions } from "./lists.js";

// These flags may stand without words: what is missing is not in the text.
const WITHOUT_WORDS = new Set(["omission", "other"]);

/** Return the acts of the page by name, as `keys.js` names them. */
export function actsOf(page) {
  return { ...watchingActs(page), ...walkingActs(page.text), sentence: (step) => page.text.moveClaim(step), ...listening(page), ...flagging(page), ...deciding(page), ...around(page) };
}

/** What people said: walk through it, take it over, ask what it asks. */
function listening(page) {
  const walk = (flags, step) => {
    const at = flags.findIndex(({ flag }) => flag.id === page.selected?.id);
    page.lookAt(flags[at < 0 ? (step > 0 ? 0 : flags.length - 1) : (at + step + flags.length) % flags.length].flag.id);
  };
  return {
    nextSaid: (step) => (page.said.length ? walk(page.said, step) : page.say("Nobody set a flag.")),
    column: (number) => {
      if (!page.item.voices.some((voice) => voice.number === number)) return;
      const own = page.said.filter((one) => one.number === number);
      page.chosen = number;
      if (own.length) walk(own, 1);
      else page.selected = null;
      page.draw();
    },
    take: (id = null) => {
      const found = page.said.find(({ flag }) => flag.id === (id ?? page.selected?.id));
      if (!found) return page.say(`Select a flag of an annotator first: ${page.keymap.nameNow("g")}, or the annotator's number.`);
      const taken = takenAs(page.draft, found.flag);
      return page.change((draft) => (taken ? without(draft, taken.id) : withTaken(draft, [found.flag])));
    },
    takeAll: () => {
      if (page.chosen === null) return page.say("Choose the annotator first, by number.");
      return page.change((draft) => withTaken(draft, page.said.filter(({ number }) => number === page.chosen).map(({ flag }) => flag)));
    },
    askNote: (number = null) => {
      const noted = page.item.voices.filter((voice) => voice.note.trim());
      const voice = noted.find((one) => one.number === (number ?? page.chosen)) ?? (noted.length === 1 && page.chosen === null ? noted[0] : null);
      if (!voice) return page.say(noted.length ? "Choose the annotator whose note it is first, by number." : "Nobody wrote a note.");
      if (page.item.questions.some((one) => one.question === voice.note.trim())) return page.say("This note is a question already.");
      return page.outbox.put("ask", operation({ question: voice.note.trim(), candidate_id: page.item.candidate_id }));
    },
  };
}

/** The final flags. */
function flagging(page) {
  const { player, text } = page;
  const change = (changes, merge) => page.change((draft) => withChanged(draft, page.selected.id, changes), merge);
  return {
    flag: (kind) => {
      const words = text.selection;
      if (!words && !WITHOUT_WORDS.has(kind)) return page.say(`Select the words first: drag over them, or press ${page.keymap.nameNow("w")} and walk with the arrow keys.`);
      const [first, last] = player.played;
      const flag = newFlag(kind, words, player.touched ? { start_s: player.frames.start(first), end_s: player.frames.end(last) } : null);
      if (!page.change((draft) => ({ ...draft, flags: [...draft.flags, flag] }))) return undefined;
      text.clear();
      page.selected = { number: null, id: flag.id };
      return page.draw();
    },
    nextFinal: (step) => {
      const { flags } = page.draft;
      if (flags.length === 0) return page.say("There is no final flag yet.");
      const at = flags.findIndex((flag) => flag.id === page.selected?.id);
      return page.lookAt(flags[at < 0 ? 0 : (at + step + flags.length) % flags.length].id);
    },
    severity: (severity) => change({ severity }),
    startHere: () => {
      const start_s = player.frames.start(player.head);
      change({ start_s, end_s: Math.max(page.selectedFinal.end_s ?? 0, player.frames.end(player.head)) });
    },
    endHere: () => {
      const end_s = player.frames.end(player.head);
      change({ start_s: Math.min(page.selectedFinal.start_s ?? Infinity, player.frames.start(player.head)), end_s });
    },
    comment: () => page.final.focusComment(),
    deleteFinal: () => page.change((draft) => without(draft, page.selected.id)),
  };
}

function deciding(page) {
  return {
    verdict: (verdict) => page.change((draft) => ({ ...draft, verdict })),
    reason: () => page.final.reason.focus(),
    decide: () => {
      if (page.busy) return;
      const { item, draft } = page;
      const wrong = whyNot(item, draft, page.voices.names);
      if (wrong) {
        if (wrong.field && wrong.field !== "reason") page.lookAt(wrong.field);
        // The focus stays: a ground may as well be a flag, and its keys would be typed into the reason.
        page.say(wrong.field === "reason" ? `${wrong.sentence} ${page.keymap.nameNow("r")} leads to the reason.` : wrong.sentence);
        return;
      }
      page.final.reason.blur();
      const said = { verdict: draft.verdict, reason: draft.reason.trim(), flags: draft.flags };
      page.send(operation({ candidate_id: item.candidate_id, base_sequence: item.sequence, client_at: new Date().toISOString(), ...said }));
    },
    later: () => {
      if (!page.item || page.busy) return;
      page.later = [...page.later.filter((id) => id !== page.item.candidate_id), page.item.candidate_id];
      page.fetchNext();
    },
    undo: () => page.goBack("undo"),
    redo: () => page.goBack("redo"),
  };
}

function around(page) {
  const { player, text, screen } = page;
  const say = (sentence) => page.say(sentence);
  const questions = async () => {
    const found = await fetchList("issues", say);
    if (!found) return;
    showQuestions(screen.root, found.issues, {
      onOpen: (id) => page.fetchItem(id),
      onSettle: (issue, answer) => page.outbox.put("settle", operation({ issue_id: issue.id, answer })),
      onAsk: (question) => { page.outbox.put("ask", operation({ question, candidate_id: null })); document.getElementById("adj-questions")?.close(); },
    });
  };
  return {
    escape: () => {
      const focused = document.activeElement;
      if (screen.root.contains(focused) && focused !== document.body) focused.blur();
      if (focused?.matches("input, textarea")) return;
      player.setLoop(null);
      if (player.playing) player.pause();
      text.clear();
      page.selected = page.chosen = null;
      page.draw();
    },
    list: async () => {
      const found = await fetchList("items", say);
      if (found) showList(screen.root, found, page.item?.candidate_id, (id) => page.fetchItem(id));
    },
    questions,
    help: () => showKeys(screen.root, page.keymap),
  };
}
