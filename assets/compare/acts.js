// What each key and button of the page Compare does.
import { showKeys } from "../desk/key_help.js";

/** Return the acts of the page by name, as `keys.js` names them. */
export function actsOf(page) {
  return { ...watching(page), ...choosing(page) };
}

function watching(page) {
  const { player } = page;
  return {
    togglePlay: () => player.toggle(),
    step: (count) => player.step(count),
    jump: (seconds) => player.seek(player.frames.at(Math.max(0, player.frames.start(player.head) + seconds + 1e-4))),
    edge: (which) => player.seek(which === "start" ? 0 : player.frames.count - 1),
    speed: (step) => {
      player.changeSpeed(step);
      page.screen.speed.textContent = `${player.speed}×`;
    },
    toggleLoop: () => {
      const { played, frames, loop } = player;
      player.setLoop(loop ? null : played[0] === played[1] ? [0, frames.count - 1] : played);
      page.draw();
    },
    toggleEvidence: () => {
      page.evidenceShown = !page.evidenceShown;
      if (!page.timeline.toggleEvidence(page.evidenceShown) && page.evidenceShown) page.say("The data set gives no evidence for these texts.");
      page.draw();
    },
  };
}

function choosing(page) {
  return {
    choose: (choice) => page.choose(choice.split(" ")[0]),
    undo: () => page.undo(),
    toggleDiff: () => {
      page.diffShown = !page.diffShown;
      page.drawTexts();
    },
    escape: () => {
      document.activeElement?.blur();
      page.player.setLoop(null);
      page.draw();
    },
    help: () => showKeys(page.screen.root, page.keymap),
  };
}
