// The settings of the poolings, as fields; the server says what can be, and why not.
import { el, kbd } from "../desk/elements.js";

const TYPED_MS = 450; // after the last change of a number
const OURS_ONLY = ["half_life_s", "last_share", "linear_light", "cut_at_shots"];

/** `offered` holds the first `settings` and the `sizes` of pictures; `onChange()` follows a change. */
export class Settings {
  constructor({ settings, sizes }, onChange) {
    Object.assign(this, { first: settings, onChange, fields: {} });
    const number = (name, label, unit, title, step) => this.#number(name, label, unit, title, step);
    const tick = (name, label, title) => this.#tick(name, label, title);
    this.ours = this.#radio("time", "Ours, by time");
    this.theirs = this.#radio("povqa", "POVQA's code");
    this.fields.size_px = el("select", { id: "frames-size_px", on: { change: () => this.#tell() } }, ...sizes.map((size) => el("option", { value: size }, `${size} px`)));
    this.body = el(
      "form", { class: "fr-settings", "aria-label": "Settings", on: { submit: (event) => event.preventDefault() } },
      el("fieldset", { class: "fr-weights" }, el("legend", { class: "fr-unseen" }, "Weights"), this.ours.label, this.theirs.label, kbd("m")),
      number("window_s", "Window", "s", "How long a window is", "0.1"), number("half_life_s", "Half-life", "s", "WAE and BBLF: a frame this much earlier counts half", "0.05"),
      number("last_share", "Last share", "", "BBLF: how much of the picture is the window's last frame, 0 to 1", "0.05"),
      tick("linear_light", "Linear light", "Average light itself, not the numbers that screens take for it"), tick("cut_at_shots", "Cut at shots", "A window ends where the picture changes to another shot"),
      el("label", { class: "fr-field" }, "Size", this.fields.size_px),
    );
    this.#fill(settings);
  }

  /** What the fields say; a number that is none is NaN. */
  get values() {
    const { fields } = this;
    const number = (name) => (fields[name].value.trim() === "" ? NaN : Number(fields[name].value));
    return {
      window_s: number("window_s"), weights: this.theirs.input.checked ? "povqa" : "time", half_life_s: number("half_life_s"), last_share: number("last_share"),
      linear_light: fields.linear_light.checked, cut_at_shots: fields.cut_at_shots.checked, size_px: Number(fields.size_px.value),
    };
  }

  /** Return the question for the server: windows from number `first` on. What does not count for POVQA's weights is left out. */
  query(first) {
    const { values } = this;
    const counted = Object.entries(values).filter(([name]) => values.weights === "time" || !OURS_ONLY.includes(name));
    return new URLSearchParams([["first", first], ...counted]);
  }

  /** Return those entries of a question that are not as at first. */
  unusual(query) {
    return [...query].filter(([name, value]) => value !== String(this.first[name] ?? 0));
  }

  /** Take up what an address says. */
  read(address) {
    const told = Object.entries(this.first).filter(([name]) => address.has(name)).map(([name]) => [name, address.get(name)]);
    this.#fill({ ...this.first, ...Object.fromEntries(told) });
  }

  /** Change between our weights and those of POVQA's code. */
  switchWeights() {
    (this.theirs.input.checked ? this.ours : this.theirs).input.checked = true;
    this.#tell();
  }

  #fill(values) {
    for (const [name, field] of Object.entries(this.fields)) {
      if (field.type === "checkbox") field.checked = String(values[name]) === "true";
      else field.value = values[name];
    }
    if (this.fields.size_px.selectedIndex < 0) this.fields.size_px.value = this.first.size_px;
    (values.weights === "povqa" ? this.theirs : this.ours).input.checked = true;
    this.#dim();
  }

  #tell() {
    clearTimeout(this.typing);
    this.typing = null;
    this.#dim();
    this.onChange();
  }

  #dim() {
    for (const name of OURS_ONLY) this.fields[name].disabled = this.theirs.input.checked;
  }

  #number(name, label, unit, title, step) {
    const later = () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.#tell(), TYPED_MS);
    };
    const now = () => this.typing && this.#tell(); // Enter, or leaving the field
    this.fields[name] = el("input", { type: "number", id: `frames-${name}`, step, min: "0", on: { input: later, change: now } });
    return el("label", { class: "fr-field", title }, label, this.fields[name], unit);
  }

  #tick(name, label, title) {
    this.fields[name] = el("input", { type: "checkbox", id: `frames-${name}`, on: { change: () => this.#tell() } });
    return el("label", { class: "fr-field", title, on: { mousedown: keepFocus } }, this.fields[name], label);
  }

  #radio(value, name) {
    const input = el("input", { type: "radio", name: "frames-weights", id: `frames-${value}`, value, on: { change: () => this.#tell() } });
    return { input, label: el("label", { on: { mousedown: keepFocus } }, input, name) };
  }
}

/** A field that is clicked leaves the focus where it is: keys would be silent in it. */
function keepFocus(event) {
  event.preventDefault();
}
