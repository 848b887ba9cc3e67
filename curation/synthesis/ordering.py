"""An order as the words of a command line: `synthesise ...` read into a wish, and a wish told as the command that says the same."""

import argparse
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curation.synthesis.arms import KINDS, PRESETS, Arm, arm_of
from curation.synthesis.choosing import Chosen
from curation.synthesis.pictures import DEFAULT_VIEW
from curation.synthesis.plan import Limits, Prices, WriterSpec
from curation.synthesis.prompts import load, load_file
from curation.synthesis.wishes import BATCH, EXECUTORS, Wish, batch_meant
from curation.synthesis.writers.making import WRITERS, default_spec
from curation.synthesis.writing import Sampling

PROGRAM = "python -m curation"
END = "END_OF_PROMPT"


def add_order(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `wish_of` reads."""
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=" or ".join(KINDS))
    asked = parser.add_argument_group("who is asked, and how")
    asked.add_argument("--generator", choices=WRITERS, default=WRITERS[0], help="default: %(default)s, a rule without a model")
    asked.add_argument("--model", metavar="NAME", help="as the provider names it; of local a folder or hub id")
    asked.add_argument("--address", metavar="URL", help="of a server that speaks the provider's protocol, such as http://localhost:8000/v1")
    asked.add_argument("--key-variable", metavar="NAME", help="the environment variable that holds the key (never the key itself)")
    asked.add_argument("--adapter", metavar="RUN", help="local: the run whose adapter writes")
    asked.add_argument("--quantisation", choices=("nf4", "none"), help="local, without an adapter")
    asked.add_argument("--answer-seconds", type=float, default=WriterSpec.answer_s, metavar="S", help="that an answer may take (default: %(default)g)")
    arms = "; ".join(f"{kind}: {', '.join(presets)}" for kind, presets in PRESETS.items())
    asked.add_argument("--arm", metavar="NAME", help=f"a way of asking ({arms}; default: the first)")
    asked.add_argument("--option", type=_option, action="append", default=[], metavar="NAME=VALUE", help="changes one option of the arm, such as times=yes")
    asked.add_argument("--prompt", type=Path, metavar="FILE", help="prompt file (default: the project's own)")
    asked.add_argument("--view", type=_option, action="append", default=[], metavar="NAME=VALUE", help=f"what is shown: {_defaults(DEFAULT_VIEW)}")
    asked.add_argument("--seeds", type=int, default=1, metavar="N", help="texts of each subject, each with a seed of its own (default: %(default)s)")
    asked.add_argument("--seed", type=int, default=Sampling.seed, metavar="N", help="of the first text (default: %(default)s)")
    asked.add_argument("--temperature", type=float, default=Sampling.temperature, metavar="X", help="default: %(default)g")
    asked.add_argument("--new-tokens", type=int, default=Sampling.new_tokens, metavar="N", help="at most, of an answer (default: %(default)s)")
    about = parser.add_argument_group("what about (default: everything)")
    about.add_argument("--dataset", action="append", default=[], metavar="NAME", help="may be given several times, as --split and --type")
    about.add_argument("--split", action="append", default=[], metavar="NAME")
    about.add_argument("--type", action="append", default=[], metavar="NAME", help="of the question; rationales only")
    about.add_argument("--words", default="", metavar="WORDS", help="each must stand in the clip's name, file or data set")
    about.add_argument("--most", type=int, metavar="N", help="clips or questions, drawn at random; fewer of them are a part of more")
    about.add_argument("--draw", type=int, default=Chosen.seed, metavar="N", help="seed of --most (default: %(default)s)")
    _add_limits(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    bounds = parser.add_argument_group("how much and how fast")
    add_budget(bounds)
    bounds.add_argument("--prices", type=_prices, metavar="IN,OUT", help="money for a million tokens in and out, as the provider has it now")
    bounds.add_argument("--currency", default=Prices.currency, metavar="NAME", help="of prices and budget (default: %(default)s)")
    bounds.add_argument("--in-flight", type=int, default=Limits.in_flight, metavar="N", help="questions asked at a time by a worker (default: %(default)s)")
    bounds.add_argument("--a-minute", type=float, metavar="N", help="requests a minute, all workers together")
    bounds.add_argument("--tokens-a-minute", type=float, metavar="N")
    bounds.add_argument("--attempts", type=int, default=Limits.attempts, metavar="N", help="of one item, when what failed may pass (default: %(default)s)")
    bounds.add_argument("--workers", type=int, default=Limits.workers, metavar="N", help="processes (default: %(default)s)")
    bounds.add_argument("--executor", choices=EXECUTORS, default=EXECUTORS[0], help="default: %(default)s")
    queued = parser.add_argument_group("where the texts go")
    queued.add_argument("--batch", metavar="NAME", help=f'annotators get them there (default: "{BATCH}", none for the arm wrong; "": none)')
    queued.add_argument("--overlap", type=int, default=Wish.wanted, metavar="N", help="annotations wanted of each; 0 queues none (default: %(default)s)")


def add_budget(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the arguments that bound what a run may spend."""
    parser.add_argument("--budget", type=float, metavar="MONEY", help="nothing more is asked when an answer could exceed it; needs prices")
    parser.add_argument("--token-budget", type=int, metavar="N", help="the same in tokens, in and out together")


def wish_of(given: argparse.Namespace) -> Wish:
    """Return what the arguments order. Raises InputError for an arm, option, view or prompt that there is not."""
    arm = arm_of(given.kind, given.arm, {name: _read(value) for name, value in given.option})
    known = default_spec(given.generator)
    adapter = {"run_id": given.adapter, "quantisation": given.quantisation}
    writer = WriterSpec(given.generator, given.model or known.model, given.address, given.key_variable, **adapter, answer_s=given.answer_seconds)
    return Wish(
        kind=given.kind,
        arm=arm,
        writer=writer,
        sampling=Sampling(given.temperature, given.new_tokens, given.seed),
        prompt=load_file(given.prompt) if given.prompt else load(given.kind),
        seeds=given.seeds,
        chosen=Chosen(tuple(given.dataset), tuple(given.split), tuple(given.type), given.words, given.most, given.draw),
        limits=Limits(given.in_flight, given.a_minute, given.tokens_a_minute, given.attempts, given.budget, given.token_budget, given.workers),
        prices=Prices(given.prices[0], given.prices[1], given.currency) if given.prices else None,
        view={name: int(value) if value.isdecimal() else value for name, value in given.view},
        batch=(batch_meant(arm) if given.batch is None else given.batch or None) if given.overlap else None,
        wanted=given.overlap or Wish.wanted,
        executor=given.executor,
    )


def command_of(wish: Wish, data: Path) -> str:
    """Return the shell command that orders the same; above it, when the prompt is not the project's own, the lines that write its file."""
    lines = []
    prompt = ["--prompt", f"{wish.prompt.name}.md"] if wish.prompt.sha256 != load(wish.kind).sha256 else []
    if prompt:
        lines += [f"cat > {shlex.quote(prompt[1])} <<'{END}'", wish.prompt.text.rstrip("\n"), END]
    words = ["synthesise", wish.kind, "--data", str(data), *prompt, *_told(wish)]
    return "\n".join([*lines, f"{PROGRAM} {shlex.join(words)}"])


def _told(wish: Wish) -> Iterator[str]:
    """Yield the arguments in which the wish differs from what is meant when nothing is said."""
    writer, sampling, chosen, limits = wish.writer, wish.sampling, wish.chosen, wish.limits
    known = default_spec(writer.kind)
    yield from ("--generator", writer.kind)
    yield from _arm_words(wish.arm)
    # With a sign between, a value may begin with a dash.
    several = {
        "--dataset": chosen.datasets,
        "--split": chosen.splits,
        "--type": chosen.types,
        "--view": [f"{name}={value}" for name, value in wish.view.items()],
    }
    yield from (f"{name}={value}" for name, values in several.items() for value in values)
    if wish.prices is not None:
        yield from ("--prices", f"{wish.prices.per_million_in!r},{wish.prices.per_million_out!r}")
    changed = {
        "--model": (writer.model, known.model),
        "--address": (writer.address, None),
        "--key-variable": (writer.key_variable, None),
        "--adapter": (writer.run_id, None),
        "--quantisation": (writer.quantisation, None),
        "--answer-seconds": (writer.answer_s, WriterSpec.answer_s),
        "--seeds": (wish.seeds, 1),
        "--seed": (sampling.seed, Sampling.seed),
        "--temperature": (sampling.temperature, Sampling.temperature),
        "--new-tokens": (sampling.new_tokens, Sampling.new_tokens),
        "--words": (chosen.words, ""),
        "--most": (chosen.most, None),
        "--draw": (chosen.seed, Chosen.seed),
        "--budget": (limits.money, None),
        "--token-budget": (limits.tokens, None),
        "--currency": (wish.prices.currency if wish.prices else Prices.currency, Prices.currency),
        "--in-flight": (limits.in_flight, Limits.in_flight),
        "--a-minute": (limits.a_minute, None),
        "--tokens-a-minute": (limits.tokens_a_minute, None),
        "--attempts": (limits.attempts, Limits.attempts),
        "--workers": (limits.workers, Limits.workers),
        "--executor": (wish.executor, EXECUTORS[0]),
        "--batch": (wish.batch or "", batch_meant(wish.arm) or ""),
        "--overlap": (wish.wanted, Wish.wanted),
    }
    for name, (value, meant) in changed.items():
        if value != meant:
            yield f"{name}={value}"


def _arm_words(arm: Arm) -> Iterator[str]:
    """Yield the preset that is nearest to the arm, and the options in which it differs."""
    options = arm.as_json()

    def differing(preset: Arm) -> dict[str, Any]:
        return {name: value for name, value in options.items() if getattr(preset, name) != value}

    name, preset = min(PRESETS[arm.kind].items(), key=lambda one: len(differing(one[1])))
    yield from ("--arm", name)
    for option, value in differing(preset).items():
        yield from ("--option", f"{option}={ {True: 'yes', False: 'no'}.get(value, value) }")


def _option(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE, such as times=yes")
    return name.strip(), value.strip()


def _read(value: str) -> str | bool:
    return {"yes": True, "true": True, "no": False, "false": False}.get(value.lower(), value)


def _prices(text: str) -> tuple[float, float]:
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no IN,OUT: give two numbers, such as 2.50,10") from error
    return read, written


def _defaults(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
