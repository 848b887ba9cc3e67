// The keys of the page Frames, in the form that `desk/keys.js` obeys, shows and checks for clashes.

/** Return every key with its scope, group, act and meaning: "anywhere" on the page, the others while a clip is there. */
export function framesKeys() {
  const list = [];
  const add = (group, scope, chord, act, what, argument = null) => list.push({ group, scope, chord, act, what, argument });
  add("Windows", "always", "m", "switchWeights", "switch between our weights and those of POVQA's code");
  add("Windows", "always", "n", "page", "the next windows", 1);
  add("Windows", "always", "p", "page", "the windows before", -1);
  add("Windows", "always", "h", "here", "to the window in which the video stands");
  add("Watch", "always", "space", "togglePlay", "play or pause");
  add("Watch", "always", ",", "step", "one frame back", -1);
  add("Watch", "always", ".", "step", "one frame on", 1);
  add("Watch", "always", "l", "toggleLoop", "loop the chosen window");
  add("Page", "anywhere", "c", "pick", "choose a clip");
  add("Page", "anywhere", "?", "help", "this list");
  return list;
}
