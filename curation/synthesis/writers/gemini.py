"""Asks Gemini by google-genai: pictures go with the question, a video is uploaded once and named in every question about it. Retries are the worker's.

The package takes half a second of CPU to load, so it is imported when a writer is made, in a worker, and never by the app.
"""

import asyncio
import ssl
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from curation.synthesis.plan import WriterSpec
from curation.synthesis.writers.connections import client_to
from curation.synthesis.writers.failures import at, checked_address, duration_s, failure_of, network_failures, picture_bytes, said, stopping
from curation.synthesis.writers.keys import Secret
from curation.synthesis.writing import Ask, Film, LastingError, Part, PassingError, Picture, Reply, Words, WriterError

if TYPE_CHECKING:
    from google.genai import types
    from google.genai.files import AsyncFiles

WHO = "Gemini"
PROVIDER = "https://generativelanguage.googleapis.com"
API_VERSION = "v1beta"  # it knows every model, also those by the name of "latest"; v1 does not
UPLOAD_S = 600.0
# A client must be given a key; a server at an address of one's own may want none.
NO_KEY = "none"
# Ends of an answer other than its own: the provider holds the text back, and would again.
BLOCKS = ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT")
ENDS = (None, "STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED")

# They live there for 48 hours; one that soon ends is uploaded anew.
SPARE = timedelta(minutes=15)
# A project may hold 20 GB there; several workers share it.
HELD_BYTES = 4 * 10**9
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0


class Gemini:
    """A writer that is shown pictures or video. One client for all its questions."""

    sees = "film"

    def __init__(self, spec: WriterSpec, secret: Secret, held_bytes: int = HELD_BYTES) -> None:
        from google import genai
        from google.genai import types

        self._types, self._spec, self._secret = types, spec, secret
        address = checked_address(spec.address) if spec.address else None
        # Our own client: with aiohttp installed the package would take that, and wait and ask again by itself after a cut connection.
        self._http = client_to(address or PROVIDER, spec.answer_s)
        # The package makes two clients more, which are never used; certificates for them would take 80 ms to load.
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        options = types.HttpOptions(
            base_url=address,
            api_version=API_VERSION,
            timeout=round(spec.answer_s * 1000),
            httpx_async_client=self._http,
            client_args={"verify": tls},
            async_client_args={"ssl": tls},
        )
        self._client = genai.Client(api_key=secret.reveal() or NO_KEY, vertexai=False, http_options=options).aio
        self._films = Films(self._client.files, max(UPLOAD_S, spec.answer_s), held_bytes)

    async def write(self, ask: Ask) -> Reply:
        """Return the answer of the model. The first question about a video waits until it is uploaded."""
        from google.genai import errors

        try:
            with network_failures(WHO, max(UPLOAD_S, self._spec.answer_s), self._secret):
                parts = [await self._told(part) for part in ask.parts]
            with network_failures(WHO, self._spec.answer_s, self._secret):
                async with asyncio.timeout(self._spec.answer_s):
                    response = await self._client.models.generate_content(
                        model=self._spec.model, contents=[self._types.Content(role="user", parts=parts)], config=self._config(ask)
                    )
        except errors.APIError as error:
            raise await self._refused(error, ask) from None
        except (ValueError, KeyError) as error:  # a reply that is no JSON, not in the shape of one, or does not say where a file goes
            raise PassingError(f"{WHO} sent a reply that cannot be read: {said(error, self._secret)}.", "malformed") from None
        return self._answered(response)

    async def close(self) -> None:
        """Take back the videos that are uploaded, and let the connections go."""
        await self._films.delete_all()
        await self._http.aclose()

    async def _told(self, part: Part) -> "types.Part":
        if isinstance(part, Words):
            return self._types.Part(text=part.text)
        if isinstance(part, Picture):
            return self._types.Part.from_bytes(data=await asyncio.to_thread(picture_bytes, part), mime_type="image/jpeg")
        held = await self._films.held(part)
        return self._types.Part(file_data=self._types.FileData(file_uri=held.uri, mime_type=held.kind), video_metadata=self._stretch(part))

    def _stretch(self, film: Film) -> "types.VideoMetadata | None":
        """Return which part of a video is meant; None: all of it."""
        if not film.start_s and film.end_s is None:
            return None
        return self._types.VideoMetadata(start_offset=f"{film.start_s:g}s", end_offset=None if film.end_s is None else f"{film.end_s:g}s")

    def _config(self, ask: Ask) -> "types.GenerateContentConfig":
        sampling = ask.sampling
        return self._types.GenerateContentConfig(temperature=sampling.temperature, max_output_tokens=sampling.new_tokens, seed=sampling.seed)

    def _answered(self, response: "types.GenerateContentResponse") -> Reply:
        """Return the answer in a reply. Raises LastingError when prompt or answer was blocked, PassingError when there is none."""
        tokens = _tokens(response.usage_metadata)
        feedback = response.prompt_feedback
        if feedback and feedback.block_reason:
            raise LastingError(f"{WHO} blocked the question: {_why(feedback.block_reason, feedback.safety_ratings)}.", "blocked", *tokens)
        if not response.candidates:
            raise PassingError(f"{WHO} sent a reply without an answer.", "malformed", None, *tokens)
        answer = response.candidates[0]
        reason = _name(answer.finish_reason)
        if reason in BLOCKS:
            raise LastingError(f"{WHO} blocked the answer: {_why(reason, answer.safety_ratings)}.", "blocked", *tokens)
        if reason not in ENDS:
            raise PassingError(f"{WHO} gave up in the middle: {reason}.", "malformed", None, *tokens)
        parts = (answer.content and answer.content.parts) or []
        text = "".join(part.text for part in parts if part.text and not part.thought)
        return Reply(text, reason == "MAX_TOKENS", *tokens, response.model_version)

    async def _refused(self, error: Any, ask: Ask) -> WriterError:
        """Return what an error of the package means."""
        sentence = f"{WHO} answered {error.code} {error.status or ''}".rstrip() + f": {said(error.message or error.details, self._secret)}."
        details = [detail for detail in at(error.details, "error", "details") or [] if isinstance(detail, Mapping)]
        if any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
            return stopping(sentence, "key")
        films = [part for part in ask.parts if isinstance(part, Film)]
        if films and error.code in (400, 403, 404) and "file" in str(error.message).lower():
            self._films.forget(films)  # it is gone there, so it is uploaded anew
            return PassingError(sentence, "film")
        quotas = [str(violation.get("quotaId")) for detail in details for violation in detail.get("violations", ()) if isinstance(violation, Mapping)]
        if error.code == 429 and any("PerDay" in quota for quota in quotas):
            return stopping(f"{sentence} The quota of this day is used up.", "quota")
        delays = [duration_s(str(detail.get("retryDelay"))) for detail in details if "retryDelay" in detail]
        return failure_of(error.code, sentence, next(iter(delays), None))


def _tokens(usage: "types.GenerateContentResponseUsageMetadata | None") -> tuple[int | None, int | None]:
    """Return tokens in and out; what a model thinks is paid for as what it says."""
    if usage is None or usage.prompt_token_count is None:
        return None, None
    return usage.prompt_token_count, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)


def _name(reason: Any) -> str | None:
    return None if reason is None else str(getattr(reason, "value", reason))


def _why(reason: Any, ratings: "list[types.SafetyRating] | None") -> str:
    """Return the provider's reason, with the categories that it blocked for."""
    categories = [str(_name(rating.category)) for rating in ratings or () if rating.blocked]
    return ", ".join([str(_name(reason)), *categories])


@dataclass(frozen=True)
class Held:
    """A video as it lies at the provider."""

    name: str
    uri: str
    kind: str
    size_bytes: int
    ends_at: datetime


class Films:
    """The videos of one writer by digest, the last used one last."""

    def __init__(self, files: "AsyncFiles", upload_s: float, held_bytes: int) -> None:
        self._files, self._upload_s, self._held_bytes = files, upload_s, held_bytes
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def held(self, film: Film) -> Held:
        """Return where a video lies, uploading it when it is not there. Questions about the same one wait for one upload.

        Raises LastingError when the provider cannot read the video, PassingError when it takes longer than it may.
        """
        async with self._locks[film.digest]:
            held = self._held.get(film.digest)
            if held is None or held.ends_at - SPARE < datetime.now(UTC):
                held = await self._upload(film)
            self._held[film.digest] = held
            self._held.move_to_end(film.digest)
        await self._make_room()
        return held

    def forget(self, films: Sequence[Film]) -> None:
        """Upload these anew when they are needed again."""
        for film in films:
            self._held.pop(film.digest, None)

    async def delete_all(self) -> None:
        """Delete what this writer uploaded; what cannot be deleted goes by itself after two days."""
        while self._held:
            await self._delete(self._held.popitem(last=False)[1])

    async def _upload(self, film: Film) -> Held:
        config: types.UploadFileConfigDict = {"mime_type": await asyncio.to_thread(kind_of, film.path)}
        wait_s = FIRST_WAIT_S
        try:
            async with asyncio.timeout(self._upload_s):
                file = await self._files.upload(file=film.path, config=config)
                while _name(file.state) == "PROCESSING":
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                    file = await self._files.get(name=file.name or "")
        except TimeoutError:
            raise PassingError(f"Gemini did not take the video {film.digest[:12]} within {self._upload_s:g} s.", "timeout") from None
        if _name(file.state) != "ACTIVE" or not file.name or not file.uri:
            raise LastingError(f"Gemini cannot read the video {film.digest[:12]}: its state there is {_name(file.state)}.", "film")
        ends_at = file.expiration_time or datetime.now(UTC) + timedelta(hours=47)
        return Held(file.name, file.uri, str(config["mime_type"]), film.path.stat().st_size, ends_at)

    async def _make_room(self) -> None:
        """Delete the videos that were not used for longest. A question that still names one is asked again, after a new upload."""
        while len(self._held) > 1 and sum(held.size_bytes for held in self._held.values()) > self._held_bytes:
            await self._delete(self._held.popitem(last=False)[1])

    async def _delete(self, held: Held) -> None:
        from google.genai import errors

        try:
            await self._files.delete(name=held.name)
        except (errors.APIError, httpx.HTTPError):
            return


def kind_of(path: Path) -> str:
    """Return the MIME type of a video file by its first bytes: media are kept by digest, without an ending."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in head else "video/x-matroska"
    if head[:4] == b"RIFF":
        return "video/x-msvideo"
    if head.startswith(b"\x00\x00\x01"):
        return "video/mpeg"
    return "video/quicktime" if head[4:12] == b"ftypqt  " else "video/mp4"
