"""A question and its answer as one English sentence, by rule. Pure.

The rules know how questions about what people do are usually put ("why did the boy clap", "what does she do after sitting down"), in lower case or
with capitals, with or without a question mark. What they do not know is told as question and answer: the words are right then, the style is not.
"""

import re
from collections.abc import Callable, Sequence

# Base forms; behind a colon the past where it is irregular, a plus where its last letter is doubled.
_VERBS = """act add adjust aim appear applaud approach arrange ask attach attempt avoid bake bang bark bat+ bathe be:was beat:beat become:became begin:began
bend:bent bite:bit blink blow:blew board bounce bow break:broke bring:brought brush build:built bump burn burst:burst bury call carry catch:caught
change chase check cheer chew clap+ clean clear climb cling:clung close collapse collect come:came comfort connect control cook cover crawl cross
crouch cry cup+ cut:cut cycle dance dig:dug dip+ direct disappear dive do:did drag+ draw:drew dress drink:drank drive:drove drop+ dry eat:ate embrace
enter examine explain face fall:fell feed:fed feel:felt fight:fought fill find:found finish fix flap+ flip+ float fly:flew fold follow gather gesture
get:got give:gave glance go:went grab+ grip+ guide hand hang:hung have:had hit:hit hide:hid hold:held hop+ hug+ hurt:hurt imitate jog+ join jump
keep:kept kick kiss kneel:knelt knit+ knock know:knew land laugh lay:laid lead:led lean leave:left let:let lick lie:lay lift light:lit like line
listen look lose:lost lower make:made massage meet:met move need nod+ open paddle paint pass pat+ pause pay:paid peck peel perform pet+ pick place
plant play point pose pour practice prepare press prevent protect pull push put:put raise reach read:read relax remain remove repeat rest return
ride:rode roll rotate rub+ run:ran say:said scold scoop scratch see:saw set:set shake:shook share shoot:shot shout show:showed sing:sang sit:sat skate
ski slap+ sleep:slept slide:slid slip+ slow smell smile sniff snatch speak:spoke spin:spun splash spread:spread squat+ stand:stood stare start stay
steer step+ stick:stuck stir+ stop+ stretch strike:struck stroke suck support surf surround swim:swam swing:swung switch take:took talk tap+ taste
teach:taught tear:tore tease tell:told throw:threw tie tilt toss touch train transfer trip+ try tug+ turn twist unwrap+ use wait wake:woke walk want
warm wash watch wave wear:wore wipe work wrap+ write:wrote yawn yell"""
_PAST = {base: past for base, _, past in (word.partition(":") for word in _VERBS.split()) if past}
_DOUBLED = frozenset(word[:-1] for word in _VERBS.split() if word.endswith("+"))
_BASES = frozenset(word.partition(":")[0].rstrip("+") for word in _VERBS.split())
_NO_VERB_AFTER = re.compile(r"a|an|the|this|that|these|those|his|her|their|its|my|our|your|two|three|in|on|at|of|with|to|by|from|for|near|under|and|or")
_PRONOUNS = ("he", "she", "it", "they", "there")
_CLAUSE_VERBS = ("is", "are", "was", "were", "has", "have", "had", "wants", "wanted", "does", "did")
_PARTICIPLE = re.compile(r"\w+ing|taken|filmed|located|placed|kept|set|shot|held|made|dressed|covered|tied")
_BE = r"(?:is|are|was|were)"
_PLACE = r"(?:after|as|at|before|behind|beside|by|during|for|from|in|inside|near|next|on|once|outside|over|through|to|towards?|under|until|when|while|with)\b"


def tell(question: str, answer: str) -> str:
    """Return one sentence that says what question and answer say together, with a capital and a full stop."""
    asked, said = " ".join(question.split()).rstrip(" ?."), " ".join(answer.split()).rstrip(" .")
    told = next((found for rule in _RULES if (found := rule(_lowered(asked), said))), None)
    return _sentence(told) if told else f"As to “{asked}”, the answer is: {said}."


def is_by_rule(question: str, answer: str) -> bool:
    """Return whether `tell` knows how the question is put."""
    return not tell(question, answer).startswith("As to “")


def _doing(asked: str, said: str) -> str | None:
    """What is the boy doing near the sofa? -> the boy is ANSWER near the sofa."""
    found = re.fullmatch(rf"what (?P<be>{_BE}) (?P<who>.+?) doing\b(?P<rest>.*)", asked)
    return found and f"{found['who']} {found['be']} {said}{found['rest']}"


def _does(asked: str, said: str) -> str | None:
    """What does the man do after drinking? -> after drinking, what the man does is ANSWER."""
    found = re.fullmatch(r"what (?P<do>do|does|did) (?P<who>.+?) do(?: (?P<rest>.+))?", asked)
    if not found:
        return None
    opening = f"{found['rest']}, " if found["rest"] and re.match(_PLACE, found["rest"]) else ""
    rest = f" {found['rest']}" if found["rest"] and not opening else ""
    be = "was" if found["do"] == "did" else "is"
    return f"{opening}what {found['who']} {found['do']}{rest} {be} {said}"


def _held(asked: str, said: str) -> str | None:
    """What is the man in grey holding in his hand? -> the man in grey is holding ANSWER in his hand."""
    found = re.fullmatch(
        rf"what (?P<be>{_BE}) (?P<who>(?:the|a|an|his|her|their|this|that) .+?) (?P<verb>\w+ing(?: (?:at|to|with|on|for))?)(?P<rest> {_PLACE}.*)?", asked
    )
    return found and f"{found['who']} {found['be']} {found['verb']} {said}{found['rest'] or ''}"


def _there(asked: str, said: str) -> str | None:
    """How many drums are there on the stage? -> the number of drums on the stage is ANSWER."""
    found = re.fullmatch(r"how many (?P<what>.+?) (?P<be>are|were) (?:there|seen|present)\b(?P<rest>.*)", asked)
    return found and f"the number of {found['what']}{found['rest']} {'is' if found['be'] == 'are' else 'was'} {said}"


def _colour(asked: str, said: str) -> str | None:
    """What colour is the rabbit? -> the colour of the rabbit is ANSWER."""
    found = re.fullmatch(rf"what (?P<colour>colou?r) (?P<be>{_BE}) (?P<what>.+)", asked)
    return found and f"the {found['colour']} of {found['what']} {'is' if found['be'] in ('is', 'are') else 'was'} {said}"


def _happens(asked: str, said: str) -> str | None:
    """What happens after the jump? -> after the jump, this happens: ANSWER."""
    found = re.fullmatch(rf"what (?P<verb>happens|happened) (?P<when>{_PLACE}.+)", asked)
    return found and f"{found['when']}, this {found['verb']}: {said}"


def _subject(asked: str, said: str) -> str | None:
    """What fills the picture? -> what fills the picture is ANSWER."""
    found = re.fullmatch(r"what (?P<verb>\w+s) (?P<rest>.+)", asked)
    return found and f"{asked} is {said}" if found and found["verb"] in _THIRDS else None


def _who(asked: str, said: str) -> str | None:
    """Who is holding the baby? -> ANSWER is holding the baby."""
    found = re.fullmatch(rf"who (?P<rest>(?:{_BE}|has|had) \w+ing\b.*)", asked)
    return found and f"{said} {found['rest']}"


def _is_what(asked: str, said: str) -> str | None:
    """What is in the background? -> what is in the background is ANSWER."""
    found = re.fullmatch(rf"(?P<rest>(?:what|who) (?P<be>{_BE}) {_PLACE}.*)", asked)
    return found and f"{found['rest']} {found['be']} {said}"


def _circumstance(asked: str, said: str) -> str | None:
    """Why did the baby toss the ball? -> the baby tossed the ball REASON. How is the man moving? -> the man is moving by ANSWER."""
    found = re.fullmatch(rf"(?P<asks>why|how|where) (?P<aux>do|does|did|{_BE}) (?P<rest>.+)", asked)
    if not found:
        return None
    words, aux = found["rest"].split(), found["aux"]
    done = _with_do(words, aux) if aux.startswith("d") else _with_be(words, aux)
    if done is None:
        return None
    return done + (_reason(said) if found["asks"] == "why" else _means(said) if found["asks"] == "how" else f" here: {said}")


def _with_do(words: Sequence[str], do: str) -> str | None:
    """Return the words with the verb in the form that do, does or did asks for, or None when no verb is found."""
    for place, word in enumerate(words[1:], start=1):
        if word in _BASES and not _NO_VERB_AFTER.fullmatch(words[place - 1]):
            formed = {"do": word, "does": _third(word), "did": _past(word)}[do]
            return " ".join([*words[:place], formed, *words[place + 1 :]])
    return None


def _with_be(words: Sequence[str], be: str) -> str | None:
    """Return the words with is, are, was or were before the first word that may be its participle, behind a bare name, or None."""
    for place, word in enumerate(words[1:], start=1):
        if _PARTICIPLE.fullmatch(word) and not _NO_VERB_AFTER.fullmatch(words[place - 1]):
            return " ".join([*words[:place], be, *words[place:]])
    return f"{' '.join(words)} {be}" if len(words) == 2 and words[0] in ("the", "this", "that", "these", "those") else None


def _reason(said: str) -> str:
    first, *others = said.split(" ")
    if first == "to" or first.endswith("ing"):
        return f" {said}" if first == "to" else f", {said}"
    if first == "want":
        return f", wanting {' '.join(others)}"
    if first in _BASES and first not in ("like", "hand", "play", "light"):
        return f" to {said}"
    is_clause = first in _PRONOUNS or any(word in _CLAUSE_VERBS for word in others)
    return f" because {said}" if is_clause else f" because of {said}"


def _means(said: str) -> str:
    first = said.split(" ")[0]
    if first.endswith("ing") or first in ("by", "with", "using"):
        return f" {said}" if first in ("by", "with") else f" by {said}"
    return f" like this: {said}"


def _third(base: str) -> str:
    if base in ("be", "have"):
        return {"be": "is", "have": "has"}[base]
    if re.search(r"[^aeiou]y$", base):
        return base[:-1] + "ies"
    return base + ("es" if re.search(r"(?:s|sh|ch|x|z|o)$", base) else "s")


def _past(base: str) -> str:
    if base in _PAST:
        return _PAST[base]
    if base in _DOUBLED:
        return base + base[-1] + "ed"
    if re.search(r"[^aeiou]y$", base):
        return base[:-1] + "ied"
    return base + ("d" if base.endswith("e") else "ed")


def _lowered(asked: str) -> str:
    first, _, rest = asked.partition(" ")
    return f"{first.lower()} {rest}"


def _sentence(told: str) -> str:
    return f"{told[0].upper()}{told[1:]}."


_THIRDS = frozenset(map(_third, _BASES)) - {"is", "has"}
_RULES: tuple[Callable[[str, str], str | None], ...] = (
    _doing, _does, _held, _there, _colour, _happens, _who, _is_what, _subject, _circumstance,
)  # fmt: skip
