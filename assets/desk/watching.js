// What keys and buttons of the player do, and those that walk through a text: the same on every page that has them.
import { showSpeed } from "./screen.js";

const PAST_THE_EDGE_S = 1e-4; // so that a time at a frame's start is in that frame, whatever rounding did

/** Return the acts of the player. The page has `player`, `timeline`, `screen`, `evidenceShown`, `startLoop`, `draw` and `say`. */
export function watchingActs(page) {
  const { player } = page;
  return {
    togglePlay: () => player.toggle(),
    step: (count) => player.step(count),
    jump: (seconds) => player.seek(player.frames.at(Math.max(0, player.frames.start(player.head) + seconds + PAST_THE_EDGE_S))),
    edge: (which) => player.seek(which === "start" ? 0 : player.frames.count - 1),
    speed: (step) => {
      player.changeSpeed(step);
      showSpeed(page.screen, player.speed);
    },
    toggleLoop: () => {
      if (player.loop) player.setLoop(null);
      else page.startLoop();
      page.draw();
    },
    toggleEvidence: () => {
      page.evidenceShown = !page.evidenceShown;
      if (!page.timeline.toggleEvidence(page.evidenceShown) && page.evidenceShown) page.say("The data set gives no evidence for this item.");
      page.draw();
    },
  };
}

/** Return the acts that walk through a text. */
export function walkingActs(text) {
  return {
    toText: () => text.focus(),
    wordLeft: (extend) => text.moveSideways(-1, Boolean(extend)),
    wordRight: (extend) => text.moveSideways(1, Boolean(extend)),
  };
}
