"""Prompts as files: which sections of one an arm switches on, what stands in its places, and how two versions differ.

A line "## always" or "## when: CONDITIONS" starts a section. Conditions are options of the arm, all of which must hold: "times", "answer=given",
"not plan, sources". What stands above the first section is a comment and is never sent. Places are $name or ${name}; "$$" is a dollar.
"""

import difflib
import functools
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Template

from curation.synthesis.arms import ANSWERS, ORDERS, PRESETS, SHOWN, Arm
from curation.synthesis.plan import PromptText
from store.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "prompts" / "synthesis"
LONGEST_CHARACTERS = 100_000
# By kind: the place and the conditions under which the prompt must have it. Nowhere else would it be filled.
NEEDED: Mapping[str, Mapping[str, str]] = {
    "narrative": {"pairs": "", "plan": "plan", "register": "register"},
    "rationale": {"question": "", "answer": "not answer=withheld"},
}
OPTIONAL: Mapping[str, frozenset[str]] = {"narrative": frozenset({"count"}), "rationale": frozenset({"clip"})}
_HEAD = re.compile(r"^##[ \t]+(.*?)[ \t]*$", re.MULTILINE)
_VALUES: Mapping[str, tuple[str, ...]] = {"order": ORDERS, "answer": ANSWERS, "shown": SHOWN}
_CONDITION = re.compile(r"(?P<no>not\s+)?(?P<name>[a-z_]+)(?:\s*=\s*(?P<value>[a-z]+))?")


def load(kind: str) -> PromptText:
    """Return the project's own prompt for texts of this kind. Raises InputError for a kind that there is not."""
    if kind not in PRESETS:
        raise InputError(f"{kind!r} is no kind of text. There are: {', '.join(PRESETS)}.")
    return load_file(FOLDER / f"{kind}.md")


def load_file(path: Path) -> PromptText:
    """Return the prompt in a file, named by it. Raises InputError when it cannot be read or is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"The prompt {path} cannot be read: {reason}. Give a text file in UTF-8.") from error
    return prompt_of(path.stem, text)


def prompt_of(name: str, text: str) -> PromptText:
    """Return a prompt with its version, the sha256 of its words. Raises InputError when it has no section or is too long."""
    words = text.replace("\r\n", "\n").strip() + "\n"
    if len(words) > LONGEST_CHARACTERS:
        raise InputError(f"The prompt {name!r} has {len(words):,} characters, and may have {LONGEST_CHARACTERS:,}. Shorten it.")
    if not _HEAD.search(words):
        raise InputError(f"The prompt {name!r} has no section, so nothing of it would be sent. Put a line '## always' above its words.")
    return PromptText(name, hashlib.sha256(words.encode()).hexdigest(), words)


def check(template: PromptText, arm: Arm) -> None:
    """Raise InputError when the prompt cannot ask for texts of this arm: a needed place lacks, or a section or a place is none."""
    _checked(template, arm)


def needed_places(arm: Arm) -> frozenset[str]:
    """Return the places that a prompt must have for this arm."""
    return frozenset(place for place, conditions in NEEDED[arm.kind].items() if _holds(conditions, arm, "NEEDED"))


def fill(template: PromptText, arm: Arm, places: Mapping[str, str]) -> str:
    """Return what is sent: the sections that count for the arm, each place filled as it is. Raises InputError as `check` does."""
    return _checked(template, arm).substitute(places)


def instructions(template: PromptText, arm: Arm) -> str:
    """Return what is sent to every writer of this arm alike: the prompt with its places empty."""
    return _checked(template, arm).substitute(defaultdict(str))


def diff(old: str, new: str) -> list[str]:
    """Return how two versions differ, as lines of a unified diff; none when they are equal."""
    return list(difflib.unified_diff(old.splitlines(), new.splitlines(), "old", "new", lineterm=""))


# A run fills one prompt for each of its items.
@functools.lru_cache(maxsize=64)
def _checked(template: PromptText, arm: Arm) -> Template:
    chosen = "".join(words for conditions, words in _sections(template) if _holds(conditions, arm, template.name))
    filled = Template(re.sub(r"\n{3,}", "\n\n", chosen).strip())
    if not filled.is_valid():
        raise InputError(f"The prompt {template.name!r} has a $ that starts no place. Write $$ where a dollar is meant.")
    has, needed, known = set(filled.get_identifiers()), needed_places(arm), needed_places(arm) | OPTIONAL[arm.kind]
    if needed - has:
        raise InputError(f"The prompt {template.name!r} lacks {_places(needed - has)} in the sections that count for this arm. Put it in.")
    if has - known:
        raise InputError(f"The prompt {template.name!r} says {_places(has - known)}, which this arm does not give. It gives {_places(known)}.")
    return filled


def _sections(template: PromptText) -> Iterator[tuple[str, str]]:
    """Yield the conditions of each section ("" for always) and its words."""
    heads = list(_HEAD.finditer(template.text))
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        kind, _, conditions = head[1].partition(":")
        if not (head[1] == "always" or (kind == "when" and conditions.strip())):
            raise InputError(f"The prompt {template.name!r} has the section {head[1]!r}. Write '## always' or '## when: OPTION, OPTION=VALUE, not OPTION'.")
        yield conditions.strip(), template.text[head.end() + 1 : following.start() if following else None]


def _holds(conditions: str, arm: Arm, name: str) -> bool:
    return all(_holds_one(words, arm, name) for words in (one.strip() for one in conditions.split(",")) if words)


def _holds_one(words: str, arm: Arm, name: str) -> bool:
    options = arm.as_json()
    found = _CONDITION.fullmatch(words)
    if found is None or found["name"] not in options or found["value"] not in _VALUES.get(found["name"], (None,)):
        offered = [f"{option}={'|'.join(_VALUES[option])}" if option in _VALUES else option for option in options if option != "kind"]
        raise InputError(f"The prompt {name!r} asks for {words!r}, which is no option of a {arm.kind}. There are: {', '.join(offered)}.")
    value = options[found["name"]]
    return bool(value if found["value"] is None else value == found["value"]) != bool(found["no"])


def _places(names: Iterable[str]) -> str:
    return ", ".join(f"${name}" for name in sorted(names))
