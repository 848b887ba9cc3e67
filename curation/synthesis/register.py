"""Who is named in the questions of a clip: referring expressions of people and animals, and which of them cannot mean the same one. Pure.

By rule, for English as data sets write it ("what did the lady in white do after the boy fell"). What the rules do not know is left out: an expression
that is missed costs a line of the prompt, and nothing is made up. Two expressions cannot mean the same one when they differ in a trait of one
kind (boy and lady, baby and man, in white and in blue, on the left and on the right), or when one QA pair names both and neither says less of the same.
Girl and lady, boy and man are no such traits: people who watch one clip call the same person both. Nor is what somebody holds: hands change it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from curation.synthesis.subjects import Told

# Nouns by what they say: being, many, age, sex, and of an animal its species where several nouns have the same. With "!": often a verb.
# Plurals that are made by rule are not listed.
_NOUNS = """
person adult male: man guy gentleman father dad daddy grandfather grandpa groom waiter
person adult female: woman lady mother mum mom mommy grandmother grandma bride waitress
person male: boy
person female: girl
person young: baby toddler infant kid child youngster
person adult: adult parent
person male: brother son uncle male priest king prince
person female: sister daughter aunt female nun queen princess
person: person human teenager student teacher player singer dancer performer musician drummer guitarist pianist violinist conductor actor presenter viewer
person: driver rider cyclist skier skater surfer swimmer diver climber runner gymnast athlete wrestler boxer goalkeeper referee instructor trainer clown
person: doctor nurse patient policeman officer soldier fireman worker farmer chef photographer cameraman owner friend passenger guest customer visitor pilot
person: leader magician bassist keyboardist spectator host! coach! cook! guide! guard! judge! model!
person many adult male: men gentlemen
person many adult female: women
person many young: children
person many: people policemen firemen couple crowd audience team band family
animal dog: dog pug poodle dachshund
animal dog young: puppy
animal cat: cat
animal cat young: kitten
animal: animal bird horse pony donkey rabbit bunny hamster parrot chicken hen rooster goose swan! duck! cow calf bull goat sheep lamb pig piglet elephant lion
animal: lioness tiger leopard panda bear! monkey gorilla deer camel turtle tortoise snake lizard frog squirrel ferret mouse rat penguin dolphin whale fish! crab
animal: beetle spider butterfly insect bee owl eagle pigeon fox wolf kangaroo giraffe zebra crocodile seal! ostrich peacock hedgehog
animal many goose: geese
animal many mouse: mice
animal many fish: fishes
"""
_BEINGS, _AGES, _SEXES = ("person", "animal"), ("adult", "young"), ("male", "female")
# What else is known: a word may stand in several lists. Of clothes, legs and head everybody wears one thing; what is otherwise worn is a kind for itself.
_LISTS = """
colours: black white blue red pink grey gray green yellow brown orange purple beige gold golden silver navy maroon turquoise cream violet khaki multicolored
patterns: striped stripped stripes checkered checked checks plaid floral flowers polkadot polkadots dotted dots patterned
shades: dark light bright plain long short sleeved sleeves sleeve sleeveless thick blonde curly
clothes: clothes shirt shirts tshirt top jacket coat vest hoodie sweater sweatshirt jersey singlet blouse dress gown suit robe uniform swimsuit bikini costume
legs: pants trousers jeans shorts skirt leggings
head: hat cap helmet beanie hood
otherwise worn: headband crown cape shoes boots socks sandals glasses spectacles sunglasses goggles mask beard moustache hair bib apron scarf tie gloves
big: big bigger large larger tall taller
small: small smaller little tiny short shorter
ranks: first second third fourth last
many: two three four five six seven eight several both all
plain: other another old older young younger bald blonde shirtless elderly pregnant half naked topless haired long curly stray wild polar guinea
ages and sexes: baby adult male female
articles: the a an this that his her their its my one
no being behind: toy stuffed plush hot spider super snow like
no being before: house cage chair food bed cot crib car bowl leash seat pram stroller walker carrier bottle doll toy cart carriage mask
no thing: of each own both tied
be: is are was were
"""
_WORDS = {name: frozenset(words.split()) for name, _, words in (line.partition(":") for line in _LISTS.strip().splitlines())}
_ARTICLES, _BE = _WORDS["articles"], _WORDS["be"]
_WORN = _WORDS["clothes"] | _WORDS["legs"] | _WORDS["head"] | _WORDS["otherwise worn"]
_LOOKS = _WORDS["colours"] | _WORDS["patterns"] | _WORN
_ADJECTIVES = _LOOKS.union(*(_WORDS[name] for name in ("big", "small", "ranks", "many", "plain", "ages and sexes")))
_SIDES = re.compile(
    r"(?:(?:on|at|to|from) (?:the |his |her )?(?:far )?(left|right)(?: side)?|(?:at|in) (?:the )?(back|front|background|foreground|middle))\b"
    r"(?! of (?:the |this )?(?:video|clip))"
)


@dataclass(frozen=True)
class Mention:
    """One expression, and what it says by kind of trait ("sex", "clothes", ...): one of these values."""

    words: str  # as they were said, behind "the"
    key: str  # the same for the same words, whatever the articles
    traits: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Named:
    """An expression and the places of the QA pairs whose question or answer has it."""

    mention: Mention
    places: tuple[int, ...]


def mentions(text: str) -> tuple[Mention, ...]:
    """Return the people and animals that a text names, in order, each way of naming once."""
    words = re.findall(r"[a-z]+(?:-[a-z]+)*|[^\w\s]", re.sub(r"['’]s\b", " s", text.lower()))
    found: dict[str, Mention] = {}
    place = 0
    while place < len(words):
        if _is_head(words, place):
            mention, place = _read(words, place)
            found.setdefault(mention.key, mention)
        else:
            place += 1
    return tuple(found.values())


def register(pairs: Sequence[Told]) -> tuple[Named, ...]:
    """Return who is named in questions and answers, in the order in which they are named first."""
    said: dict[str, Mention] = {}
    places: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        for mention in mentions(f"{pair.question} . {pair.answer or ''}"):
            said.setdefault(mention.key, mention)
            places.setdefault(mention.key, []).append(place)
    return tuple(Named(mention, tuple(places[key])) for key, mention in said.items())


def named_in(pairs: Sequence[Told]) -> dict[str, tuple[int, ...]]:
    """Return the same as words by places."""
    return {named.mention.words: named.places for named in register(pairs)}


def cannot_be_one(one: Named, other: Named) -> bool:
    """Return whether the two certainly mean different ones; of the same words nothing is certain."""
    first, second = one.mention.traits, other.mention.traits
    if one.mention.key == other.mention.key:
        return False
    if any(not (first[kind] & second[kind]) for kind in first.keys() & second.keys()):
        return True
    says_less = first.items() <= second.items() or second.items() <= first.items()
    apart = "other" in f"{one.mention.key} {other.mention.key}"  # "the other man", "another man"
    return bool(set(one.places) & set(other.places)) and (apart or not says_less)


def register_lines(pairs: Sequence[Told]) -> tuple[str, ...]:
    """Return a line for each who is named: the words, the numbers of the pairs (Qk is place k - 1), and who of the other single ones it is not."""
    named = register(pairs)
    lines = []
    for one in named:
        others = [other.mention.words for other in named if _is_alike(one, other) and cannot_be_one(one, other)]
        numbers = ", ".join(f"Q{place + 1}" for place in one.places)
        lines.append(f"- {one.mention.words} ({numbers})" + (f"; not {', not '.join(others)}" if others else ""))
    return tuple(lines)


def _is_alike(one: Named, other: Named) -> bool:
    """Return whether the two could be taken for one another: both single, both people or both animals."""
    alone = frozenset({"one"})
    first, second = one.mention.traits, other.mention.traits
    return first["number"] == second["number"] == alone and first["being"] == second["being"]


@cache
def _nouns() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """Return what each noun says. A noun with "!" may also be a verb."""
    found: dict[str, Mapping[str, frozenset[str]]] = {}
    for line in _NOUNS.strip().splitlines():
        said, _, nouns = line.partition(":")
        for noun in nouns.split():
            found[noun] = _traits_of(said.split(), noun.rstrip("!"))
    plurals = {_plural(noun): {**traits, "number": frozenset({"many"})} for noun, traits in found.items() if traits["number"] == {"one"}}
    return {**plurals, **found}


def _plural(noun: str) -> str:
    word, mark = noun.rstrip("!"), noun[len(noun.rstrip("!")) :]
    if word.endswith("y") and word[-2] not in "aeou":
        return f"{word[:-1]}ies{mark}"
    return f"{word}{'es' if word.endswith(('s', 'x', 'ch', 'sh')) else 's'}{mark}"


def _traits_of(said: Sequence[str], noun: str) -> Mapping[str, frozenset[str]]:
    traits = {"number": frozenset({"many" if "many" in said else "one"})}
    for kind, values in (("being", _BEINGS), ("age", _AGES), ("sex", _SEXES)):
        if known := frozenset(said) & frozenset(values):
            traits[kind] = known
    species = [word for word in said if word not in ("many", *_BEINGS, *_AGES, *_SEXES)]
    if "animal" in said and noun != "animal":
        traits["species"] = frozenset(species or [noun])
    return traits


def _is_head(words: Sequence[str], place: int) -> bool:
    word, before = words[place], words[place - 1] if place else ""
    after = words[place + 1] if place + 1 < len(words) else ""
    if before in _WORDS["no being behind"] or after in _WORDS["no being before"] or (word in _WORDS["ages and sexes"] and after in _nouns()):
        return False
    return word in _nouns() or (f"{word}!" in _nouns() and before in _ARTICLES | _ADJECTIVES | {"many"})


def _read(words: Sequence[str], head: int) -> tuple[Mention, int]:
    """Return the mention around a noun, and where the text goes on."""
    start = head
    while start and words[start - 1] in _ADJECTIVES:
        start -= 1
    traits = dict(_nouns().get(words[head]) or _nouns()[f"{words[head]}!"])
    _say_before(words[start:head], traits)
    asked = words[:start][:-1] if words[:start][-1:] and words[start - 1] in _ARTICLES else words[:start]
    is_predicate = bool(asked) and asked[-1] in _BE  # "is the man wearing a hat" asks, and does not name
    end = head + 1
    while (following := _read_behind(words, end, traits, is_predicate)) > end:
        end = following
    said = words[start:end]
    return Mention(" ".join(said if said[0] == "another" else ["the", *said]), " ".join(word for word in said if word not in _ARTICLES), traits), end


def _say_before(said: Sequence[str], traits: dict[str, frozenset[str]]) -> None:
    if _WORN & set(said):  # the red shirt boy
        _say_worn(said, traits)
    elif "animal" in traits["being"] and (coat := _WORDS["colours"] & set(said)):
        traits["coat"] = coat
    for kind, names in (("size", ("big", "small")), ("number", ("many",))):
        if known := frozenset(name for name in names if _WORDS[name] & set(said)):
            traits[kind] = known
    if ranks := _WORDS["ranks"] & set(said):
        traits["rank"] = ranks
    if sexes := frozenset(_SEXES) & set(said):
        traits["sex"] = sexes
    if ages := {"baby", "adult"} & set(said):
        traits["age"] = frozenset("young" if age == "baby" else age for age in ages)


def _read_behind(words: Sequence[str], place: int, traits: dict[str, frozenset[str]], is_predicate: bool) -> int:
    """Return where the next thing that is said behind the noun ends, or `place` when nothing is."""
    if place >= len(words):
        return place
    if side := _SIDES.match(" ".join(words[place : place + 5])):
        rest = words[place + side.group().count(" ") + 1 :]
        if side[2] != "middle" or rest:  # at the end of a question it is the middle of the video
            traits["side"] = frozenset({side[1] or side[2]})
            return place + side.group().count(" ") + 1
    if words[place] in ("in", "with") or (words[place] == "wearing" and not is_predicate):
        worn = _read_clothes(words, place, traits)
        if worn > place:
            return worn
    return _read_held(words, place) if words[place] in ("with", "holding", "carrying") and not is_predicate else place


def _read_clothes(words: Sequence[str], place: int, traits: dict[str, frozenset[str]]) -> int:
    end = place + 1
    while end < len(words) and words[end] in _LOOKS | _WORDS["shades"] | _ARTICLES | {"and"}:
        end += 1
    while words[end - 1] in _WORDS["shades"] | _ARTICLES | {"and"}:
        end -= 1
    _say_worn(words[place + 1 : end], traits)
    return end if end > place + 1 else place


def _say_worn(said: Sequence[str], traits: dict[str, frozenset[str]]) -> None:
    thing = next((word for word in reversed(said) if word in _WORN), "clothes")
    where = next((name for name in ("clothes", "legs", "head") if thing in _WORDS[name]), thing)
    if colours := frozenset("grey" if word == "gray" else word for word in said if word in _WORDS["colours"]):
        traits[where] = traits.get(where, frozenset()) | colours
    elif said:
        traits[f"wears {thing}"] = frozenset({"yes"})


def _read_held(words: Sequence[str], place: int) -> int:
    end = place + 1
    while end < len(words) and words[end] in _ARTICLES | _ADJECTIVES:
        end += 1
    is_thing = end < len(words) and words[end].isalpha() and words[end] not in _nouns() and words[end] not in _WORDS["no thing"]
    return end + 1 if is_thing else place
