// JavaScript counts UTF-16 units, the server counts code points: an emoji is 2 here and 1 there.

const LONGEST_CHARACTER = 64; // UTF-16 units; an emoji of a family has 11

/** A text with both ways of counting. */
export class Points {
  constructor(text) {
    this.text = text;
    this.units = [0];
    for (const character of text) this.units.push(this.units.at(-1) + character.length);
  }

  get length() {
    return this.units.length - 1;
  }

  /** Return the UTF-16 offset of a code point offset. */
  unitAt(point) {
    return this.units[point];
  }

  /** Return the code point offset of a UTF-16 offset; inside a character it is that character's start. */
  pointAt(unit) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.units[middle] <= unit) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Return the words between two code point offsets. */
  slice(start, end) {
    return this.text.slice(this.units[start], this.units[end]);
  }

  /** Return the code point offset behind the character, as the eye sees one, that begins at an offset. */
  afterCharacter(point) {
    const rest = this.text.slice(this.units[point], this.units[point] + LONGEST_CHARACTER);
    const [first] = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(rest);
    return first ? this.pointAt(this.units[point] + first.segment.length) : point;
  }

  /** Return the span without white space at its ends, or null when nothing is left. */
  trimmed(start, end) {
    while (start < end && /\s/.test(this.slice(start, start + 1))) start += 1;
    while (end > start && /\s/.test(this.slice(end - 1, end))) end -= 1;
    return start < end ? { start, end } : null;
  }
}

/** Return the words of a text as `{start, end}` in code points. */
export function words(points) {
  const found = [];
  for (const part of new Intl.Segmenter(undefined, { granularity: "word" }).segment(points.text)) {
    if (!part.isWordLike) continue;
    const span = points.trimmed(points.pointAt(part.index), points.pointAt(part.index + part.segment.length));
    if (span) found.push(span);
  }
  return found;
}
