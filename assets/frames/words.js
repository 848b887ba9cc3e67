// How methods, times and windows are called on the page.

export const NAMES = {
  WA: "Weighted average", WAE: "Weighted average, exponential", WAR: "Weighted average, ramp", BBLF: "Blur blended with the last frame",
};

/** Return seconds with as many decimals as they need, at least one and at most three: 2 is "2.0", 2.0333 is "2.033". */
export function secondsOf(seconds) {
  const told = seconds.toFixed(3).replace(/0{1,2}$/, "");
  return told === "-0.0" ? "0.0" : told;
}

/** Return a window in words: "window 3, 2.0 to 3.0 s". */
export function spanOf({ name, start_s, end_s }) {
  return `window ${name}, ${secondsOf(start_s)} to ${secondsOf(end_s)} s`;
}

/** Return a share, 0 to 1, as percent with three digits at most: 0.0333 is "3.3". */
export function percentOf(share) {
  const percent = share * 100;
  return percent >= 99.95 ? "100" : percent.toFixed(percent < 0.05 ? 0 : 1);
}
