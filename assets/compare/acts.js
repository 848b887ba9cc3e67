// What each key and button of the page Compare does.
import { showKeys } from "../desk/key_help.js";
import { watchingActs } from "../desk/watching.js";

/** Return the acts of the page by name, as `keys.js` names them. */
export function actsOf(page) {
  return { ...watchingActs(page), ...choosing(page) };
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
