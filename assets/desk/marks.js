// Acts that mark more than one stretch of words with one flag: its other half, the order of two events, claims, and what the text leaves out.
import { nextSupport, supportOf, withTick } from "./claims.js";
import { NO_MARKS, hasOther, otherChanges, withoutOther } from "./parts.js";
import { withFlagChanged } from "./work.js";

/** Return these acts of a desk by name, as `keys.js` names them. */
export function markingActs(desk, taxonomy) {
  return { ...onFlags(desk, taxonomy), ...onClaims(desk, taxonomy), ...onTheWhole(desk, taxonomy) };
}

function onFlags(desk, taxonomy) {
  const { text, flags } = desk;
  const orders = new Map(taxonomy.orders.map(({ field, values }) => [field, values]));
  const hasNone = (flag) => desk.say(flag ? `${flags.names.get(flag.kind)} has no other half.` : `Select the flag first (${desk.keymap.nameNow("g")}), then the words of its other half.`);
  return {
    otherHalf: () => {
      const [flag, words] = [desk.selectedFlag, text.selection];
      const propsUp = flag?.kind === "justified_fabrication";
      if (!propsUp && !hasOther(flag?.kind)) return hasNone(flag);
      if (!words) return propsUp ? flags.focusField("props_up") : desk.usePart(desk.part === "words" ? "other" : "words");
      const changes = otherChanges(flag, words, desk.momentNow());
      if (!desk.change((work) => withFlagChanged(work, flag.id, changes))) return undefined;
      text.clear();
      desk.marks = NO_MARKS;
      return desk.usePart(propsUp ? "words" : "other");
    },
    dropOther: () => {
      const flag = desk.selectedFlag;
      if (flag?.kind !== "justified_fabrication" && !hasOther(flag?.kind)) return hasNone(flag);
      return desk.change((work) => withFlagChanged(work, flag.id, withoutOther())) && desk.usePart("words");
    },
    order: (field) => {
      const flag = desk.selectedFlag;
      if (flag.kind === "justified_fabrication") return flags.focusField("props_up");
      if (flag.kind !== "temporal_error") return desk.say(`${flags.names.get(flag.kind)} says nothing of an order.`);
      const values = orders.get(field);
      return desk.change((work) => withFlagChanged(work, flag.id, { [field]: values[(values.indexOf(flag[field]) + 1) % values.length] }));
    },
  };
}

function onClaims(desk, taxonomy) {
  const { text } = desk;
  const say = (index, support) => desk.change((work) => withTick(work, text.claims[index], support), `tick ${index}`);
  const turn = (index) => say(index, nextSupport(taxonomy, supportOf(desk.work.ticks, text.claims[index])));
  return {
    claims: () => {
      if (text.claims.length === 0) return desk.say("This text has no claims to tick.");
      if (text.claim !== null) return turn(text.claim);
      const open = text.claims.findIndex((claim) => supportOf(desk.work.ticks, claim) === null);
      return text.toClaim(Math.max(0, open));
    },
    tick: (support) => {
      const index = text.claim;
      if (say(index, support) && support !== null) text.moveClaim(1);
    },
    turnClaim: turn,
    sentence: (step) => text.moveClaim(step),
  };
}

function onTheWhole(desk, taxonomy) {
  const values = [...taxonomy.omissions.map((one) => one.omission), null];
  return {
    omission: (chosen = null) => desk.change((work) => {
      const next = chosen === null ? values[(values.indexOf(work.omission) + 1) % values.length] : chosen;
      return { ...work, omission: chosen !== null && work.omission === chosen ? null : next };
    }, "omission"),
  };
}
