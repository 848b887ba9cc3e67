"""What every writer speaks: text and pictures in, text and token counts out. One model API a file in curation/synthesis/writers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from curation.synthesis.arms import Arm
from curation.synthesis.subjects import Subject


@dataclass(frozen=True)
class Words:
    """A piece of text."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A JPEG file: what the clip shows at a moment, in seconds from the start of what is shown."""

    path: Path
    time_s: float


@dataclass(frozen=True)
class Film:
    """A stretch of a video file, in seconds of the file's clock; `end_s` None: to its end."""

    path: Path
    digest: str
    start_s: float
    end_s: float | None


Part = Words | Picture | Film


@dataclass(frozen=True)
class Sampling:
    """How a model draws its words."""

    temperature: float = 0.7
    new_tokens: int = 1024  # at most, of an answer
    seed: int | None = 0  # None: the provider's own chance


@dataclass(frozen=True)
class Ask:
    """One question to a writer: what is shown and said, in order. `subject`, `arm` and `wrong` say the same as facts, for a writer without a model."""

    parts: tuple[Part, ...]
    sampling: Sampling
    subject: Subject
    arm: Arm
    wrong: int | None = None  # which option is told as the answer in the arm "wrong"

    @property
    def words(self) -> str:
        """All texts, each on lines of its own."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Words))


@dataclass(frozen=True)
class Reply:
    """What a writer said. None: the provider does not tell."""

    text: str
    cut: bool = False  # as many tokens as it was allowed, and no end
    tokens_in: int | None = None
    tokens_out: int | None = None
    model: str | None = None  # the version that answered, as the provider names it
    # Of a writer that reads the clip by itself: the moments that it was shown, in seconds from the start, and (kind, what, reason) of what was left out.
    shown_s: tuple[float, ...] | None = None
    dropped: tuple[tuple[str, str, str], ...] = ()


class Writer(Protocol):
    """A model API, a local model, or a rule."""

    sees: str  # what it can be shown: "nothing", "pictures", "film" (pictures too), or "clip" (it reads the subject's clip by itself)

    async def write(self, ask: Ask) -> Reply:
        """Return the answer. Raises PassingError or LastingError; nothing else is expected of a provider, its network and its replies."""

    async def close(self) -> None:
        """Let connections and processes go."""


class WriterError(Exception):
    """No answer; a sentence for the list of what failed, without any secret. Tokens may have been spent all the same."""

    def __init__(self, reason: str, code: str, tokens_in: int | None = None, tokens_out: int | None = None) -> None:
        super().__init__(reason)
        self.code = code  # one word: "rate", "server", "network", "timeout", "malformed", "blocked", "refused" (4xx), "key", "model", ...
        self.tokens_in, self.tokens_out = tokens_in, tokens_out


class PassingError(WriterError):
    """The same question may be answered later: too many requests, a server in trouble, a cut connection, a reply that is no reply."""

    def __init__(self, reason: str, code: str, after_s: float | None = None, tokens_in: int | None = None, tokens_out: int | None = None) -> None:
        super().__init__(reason, code, tokens_in, tokens_out)
        self.after_s = after_s  # when the provider says to come again; None: it does not say


class LastingError(WriterError):
    """The same question would fail again: blocked, refused, a model that is not there."""


class StoppingError(LastingError):
    """Every question would fail: a wrong key, no such model, no money left at the provider. The run stops, and nothing is set aside."""
