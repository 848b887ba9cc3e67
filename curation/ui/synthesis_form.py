"""The form of the tab Ask: its components, and what stands in it as the wish that it means."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from curation.synthesis.arms import KINDS, PRESETS, Arm, arm_of
from curation.synthesis.choosing import Chosen
from curation.synthesis.pictures import full_view
from curation.synthesis.plan import Limits, Prices, WriterSpec
from curation.synthesis.prompts import prompt_of
from curation.synthesis.wishes import EXECUTORS, Wish
from curation.synthesis.writers.making import default_spec
from curation.synthesis.writing import Sampling
from curation.ui.batches import whole
from store.errors import InputError

OWN = "own"  # an arm that is no preset
KIND_CHOICES = [("Narratives of clips", "narrative"), ("Rationales of questions", "rationale")]
GENERATORS = [
    ("Composer: rules, no model, works offline", "template"),
    ("Gemini", "gemini"),
    ("OpenAI, or a server that speaks so (vLLM, Ollama, LM Studio)", "openai"),
    ("A model on this machine, or an adapter", "local"),
]
SHOWN_CHOICES = [("words alone", "nothing"), ("frames", "frames"), ("the video", "video")]
SWITCHES = {
    "narrative": [("time order", "order"), ("with times", "times"), ("plan first", "plan"), ("who is who", "register"), ("sources", "sources")],
    "rationale": [("citations of times", "citations")],
}
ANSWER_CHOICES = [("given", "given"), ("withheld", "withheld"), ("wrong", "wrong")]
LIMITS, SAMPLING = Limits(), Sampling()
BASE = ("The base model", "")


def build_subjects(form: dict[str, Any]) -> None:
    """Put what is asked about, in which arm and of whom, into the column that is open."""
    first = next(iter(PRESETS["narrative"]))
    with gr.Row():
        form["kind"] = gr.Radio(KIND_CHOICES, value=KINDS[0], label="1. Texts", elem_id="synthesis-kind", scale=3)
        form["arm"] = gr.Dropdown(list(PRESETS["narrative"]), value=first, label="2. Arm", elem_id="synthesis-arm", scale=1, min_width=120)
    for kind, switches in SWITCHES.items():
        fields, is_first = asdict(arm_of(kind)), kind == KINDS[0]
        with gr.Row(equal_height=True, visible=is_first) as form[f"{kind}_row"]:
            for label, name in switches:
                form[name] = gr.Checkbox(is_on(name, fields[name]), label=label, elem_id=f"synthesis-{name}", min_width=100)
            if not is_first:
                form["answer"] = gr.Radio(ANSWER_CHOICES, value="given", label="Answer told", elem_id="synthesis-answer", scale=3)
    with gr.Row():
        form["datasets"] = gr.Dropdown([], value=[], multiselect=True, label="Data sets, or all", elem_id="synthesis-datasets", min_width=110)
        form["splits"] = gr.Dropdown([], value=[], multiselect=True, label="Splits, or all", elem_id="synthesis-splits", min_width=110)
        form["types"] = gr.Dropdown([], value=[], multiselect=True, label="Types, or all", visible=False, elem_id="synthesis-types", min_width=110)
        form["words"] = gr.Textbox(label="Words in name", placeholder="any", elem_id="synthesis-words", min_width=110)
        form["most"] = gr.Textbox(label="At most", placeholder="all", elem_id="synthesis-most", min_width=90)


def build_writer(form: dict[str, Any]) -> None:
    """Put who is asked, and how, into the column that is open."""
    with gr.Row():
        form["generator"] = gr.Dropdown(GENERATORS, value="template", label="3. Writer", elem_id="synthesis-generator", scale=3)
        form["shown"] = gr.Dropdown(SHOWN_CHOICES, value="nothing", label="Shown of the clip", elem_id="synthesis-shown", scale=1, min_width=170)
    with gr.Row(visible=False) as form["writer_row"]:
        form["model"] = gr.Textbox(label="Model", elem_id="synthesis-model", min_width=150)
        form["address"] = gr.Textbox(label="Address", placeholder="the provider's own", elem_id="synthesis-address", min_width=180)
        form["key_variable"] = gr.Textbox(label="Variable with the key", elem_id="synthesis-key-variable", min_width=150)
        form["adapter"] = gr.Dropdown([BASE], value="", label="Adapter", visible=False, elem_id="synthesis-adapter", min_width=180)
    with gr.Row(visible=False) as form["sampling_row"]:
        form["seeds"] = gr.Number(1, precision=0, label="Texts of each", elem_id="synthesis-seeds", min_width=100)
        form["temperature"] = gr.Number(SAMPLING.temperature, label="Temperature", elem_id="synthesis-temperature", min_width=100)
        form["new_tokens"] = gr.Number(SAMPLING.new_tokens, precision=0, label="New tokens, at most", elem_id="synthesis-new-tokens", min_width=100)
    with gr.Row(visible=False) as form["view_row"]:
        view = full_view({})
        form["frames"] = gr.Number(view["frames"], precision=0, label="Frames", elem_id="synthesis-frames", min_width=100)
        form["longest_px"] = gr.Number(view["longest_px"], precision=0, label="Longest side, pixels", elem_id="synthesis-longest-px", min_width=100)
        form["max_lines"] = gr.Number(view["max_lines"], precision=0, label="Lines of speech", elem_id="synthesis-max-lines", min_width=100)


def build_limits(form: dict[str, Any]) -> None:
    """Put prices, budget and pace into the accordion that is open. What may be left out is a text: an empty number would show as 0."""
    with gr.Row():
        form["price_in"] = _optional_field("Price, a million in", "unknown", "synthesis-price-in")
        form["price_out"] = _optional_field("Price, a million out", "unknown", "synthesis-price-out")
        form["currency"] = gr.Textbox("USD", label="Currency", elem_id="synthesis-currency", min_width=120)
        form["picture_tokens"] = _optional_field("Tokens of a picture", "unknown", "synthesis-picture-tokens")
    with gr.Row():
        form["money"] = _optional_field("Budget, money", "none", "synthesis-budget")
        form["tokens"] = _optional_field("Budget, tokens", "none", "synthesis-token-budget")
        form["a_minute"] = _optional_field("Requests a minute", "any", "synthesis-a-minute")
        form["tokens_a_minute"] = _optional_field("Tokens a minute", "any", "synthesis-tokens-a-minute")
    with gr.Row():
        form["in_flight"] = gr.Number(LIMITS.in_flight, precision=0, label="Asked at a time", elem_id="synthesis-in-flight", min_width=120)
        form["attempts"] = gr.Number(LIMITS.attempts, precision=0, label="Tries of one", elem_id="synthesis-attempts", min_width=120)
        form["workers"] = gr.Number(LIMITS.workers, precision=0, label="Workers", elem_id="synthesis-workers", min_width=120)
        form["executor"] = gr.Dropdown(list(EXECUTORS), value=EXECUTORS[0], label="Runs on", elem_id="synthesis-executor", min_width=120)


def wish_of(values: Mapping[str, Any]) -> Wish:
    """Return what the form asks for, by the names of its components. Raises InputError for what cannot be."""
    kind, arm = values["kind"], arm_in(values)
    one_kind = values["generator"] == "template"
    sampling = Sampling(_number(values["temperature"], "temperature"), whole(values["new_tokens"], "number of new tokens"))
    chosen = Chosen(
        tuple(values["datasets"]),
        tuple(values["splits"]),
        tuple(values["types"]) if kind == "rationale" else (),
        values["words"] or "",
        _optional_whole(values, "most", "number of subjects"),
    )
    return Wish(
        kind=kind,
        arm=arm,
        writer=spec_in(values),
        sampling=Sampling() if one_kind else sampling,
        seeds=1 if one_kind else whole(values["seeds"], "number of texts of each"),
        chosen=chosen,
        prompt=prompt_of(kind, values["prompt"] or ""),
        limits=_limits(values),
        prices=None if one_kind else _prices(values),
        view={name: whole(values[name], name.replace("_", " ")) for name in ("frames", "longest_px", "max_lines")} if arm.shown == "frames" else {},
        batch=(values["batch"] or "").strip() or None,
        wanted=whole(values["wanted"], "number of annotations of each"),
        executor=values["executor"],
    )


def arm_in(values: Mapping[str, Any]) -> Arm:
    """Return the arm that the switches stand for, preset or own."""
    kind = values["kind"]
    options: dict[str, Any] = {name: bool(values[name]) for _, name in SWITCHES[kind] if name != "order"}
    options |= {"order": "time" if values["order"] else "file"} if kind == "narrative" else {"answer": values["answer"]}
    return arm_of(kind, None, {**options, "shown": values["shown"]})


def is_on(name: str, value: Any) -> bool:
    """Return whether the switch of this option is on."""
    return bool(value == "time" if name == "order" else value)


def name_of(arm: Arm) -> str:
    """Return the name of the preset that the arm is, or OWN."""
    return next((name for name, preset in PRESETS[arm.kind].items() if preset == arm), OWN)


def label_of(arm: Arm) -> str:
    """Return what the lists call an arm: its preset, and what was shown when that is not the preset's (the composer is shown nothing), or OWN."""
    alike = next((name for name, preset in PRESETS[arm.kind].items() if replace(preset, shown=arm.shown) == arm), OWN)
    shown = next(words for words, value in SHOWN_CHOICES if value == arm.shown)
    return alike if name_of(arm) == alike else f"{alike}, {shown}"


def spec_in(values: Mapping[str, Any]) -> WriterSpec:
    """Return who is asked. Raises InputError when a model has to be named and is not."""
    kind = values["generator"]
    if kind == "template":
        return default_spec(kind)
    model = (values["model"] or "").strip()
    if kind == "local" and values["adapter"]:
        return WriterSpec(kind, default_spec(kind).model, run_id=values["adapter"])
    if not model:
        raise InputError("No model is named. Give the name that its provider uses, or the folder of a model on this machine.")
    if kind == "local":
        return WriterSpec(kind, model)
    address, key_variable = ((values[name] or "").strip() or None for name in ("address", "key_variable"))
    return WriterSpec(kind, model, address, key_variable)


def picture_tokens_in(values: Mapping[str, Any]) -> float | None:
    """Return how many tokens the person says that a picture takes, or None. Raises InputError for what is no number."""
    return _optional(values, "picture_tokens", "number of tokens of a picture")


def optional_number(text: str | None, what: str) -> float | None:
    """Return the number that is written, or None when nothing is. Raises InputError for what is no number."""
    written = (text or "").strip()
    if not written:
        return None
    try:
        return float(written)
    except ValueError as error:
        raise InputError(f"The {what} is {written[:40]!r}, which is no number. Write it with a point, as 0.15, or leave it empty.") from error


def _limits(values: Mapping[str, Any]) -> Limits:
    return Limits(
        in_flight=whole(values["in_flight"], "number that is asked at a time"),
        a_minute=_optional(values, "a_minute", "number of requests a minute"),
        tokens_a_minute=_optional(values, "tokens_a_minute", "number of tokens a minute"),
        attempts=whole(values["attempts"], "number of tries"),
        money=_optional(values, "money", "budget"),
        tokens=_optional_whole(values, "tokens", "budget of tokens"),
        workers=whole(values["workers"], "number of workers"),
    )


def _prices(values: Mapping[str, Any]) -> Prices | None:
    read, written = (_optional(values, name, "price of a million tokens") for name in ("price_in", "price_out"))
    if read is None and written is None:
        return None
    if read is None or written is None:
        raise InputError("Only one of the two prices is given. Give both, of tokens in and of tokens out; 0 where it is free.")
    return Prices(read, written, (values["currency"] or "").strip() or "USD")


def _optional_field(label: str, empty: str, elem_id: str) -> gr.Textbox:
    return gr.Textbox(label=label, placeholder=empty, elem_id=elem_id, min_width=120)


def _optional(values: Mapping[str, Any], name: str, what: str) -> float | None:
    return optional_number(values[name], what)


def _optional_whole(values: Mapping[str, Any], name: str, what: str) -> int | None:
    number = _optional(values, name, what)
    return None if number is None else whole(number, what)


def _number(value: float | None, what: str) -> float:
    if value is None:
        raise InputError(f"The {what} is missing; it has to be a number.")
    return float(value)
