// Which words of each of two texts the other has not.

const MOST_CELLS = 16_000_000; // of the table below: 4,000 words against 4,000
const LEAST_COMMON = 0.35; // with fewer words in common these are two tellings, and marks on nearly every word hide more than they show

/** Return a text as pieces of words with the space behind them; joined they are the text. */
export function piecesOf(text) {
  return text.match(/^\s+|\S+\s*/g) ?? [];
}

/**
 * Return {left, right, alike}: for each piece of the two texts whether the other lacks it, by their longest common run of words in order.
 * `alike` is false when they share too few words, or are too long, to be marked; then nothing is. Time and memory: words times words.
 */
export function wordDiff(left, right) {
  const [one, other] = [left, right].map((text) => piecesOf(text).map((piece) => piece.trim()));
  const marks = [one, other].map((words) => words.map(() => true));
  let [from, oneEnd, otherEnd] = [0, one.length, other.length];
  const same = (index, place) => {
    marks[0][index] = marks[1][place] = false;
  };
  while (from < oneEnd && from < otherEnd && one[from] === other[from]) same(from, from++);
  while (oneEnd > from && otherEnd > from && one[oneEnd - 1] === other[otherEnd - 1]) same(--oneEnd, --otherEnd);
  const fits = (oneEnd - from + 1) * (otherEnd - from + 1) <= MOST_CELLS;
  if (fits) walkCommon(one.slice(from, oneEnd), other.slice(from, otherEnd), (index, place) => same(from + index, from + place));
  const common = marks[0].filter((alone) => !alone).length;
  if (fits && common >= LEAST_COMMON * Math.max(one.length, other.length)) return { left: marks[0], right: marks[1], alike: true };
  return { left: one.map(() => false), right: other.map(() => false), alike: false };
}

/** Call `found(index, place)` for each pair of words on a longest common subsequence. */
function walkCommon(one, other, found) {
  const width = other.length + 1;
  const lengths = new Uint16Array((one.length + 1) * width);
  for (let index = one.length - 1; index >= 0; index -= 1) {
    for (let place = other.length - 1; place >= 0; place -= 1) {
      const here = index * width + place;
      lengths[here] = one[index] === other[place] ? lengths[here + width + 1] + 1 : Math.max(lengths[here + width], lengths[here + 1]);
    }
  }
  for (let index = 0, place = 0; index < one.length && place < other.length; ) {
    const here = index * width + place;
    if (one[index] === other[place]) found(index++, place++);
    else if (lengths[here + width] >= lengths[here + 1]) index += 1;
    else place += 1;
  }
}
