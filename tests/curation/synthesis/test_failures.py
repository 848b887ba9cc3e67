"""What providers say when they do not answer, and at which addresses they are asked."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.writers.failures import after_of, duration_s
from curation.synthesis.writers.openai_compatible import base_of
from store.errors import InputError


def test_a_date_to_come_again_is_so_far_away() -> None:
    after_s = after_of({"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)})
    assert after_s is not None
    assert 80 < after_s <= 90


@given(st.integers(0, 99), st.integers(0, 59), st.floats(0, 59.9))
def test_durations_are_sums_of_their_units(hours: int, minutes: int, seconds: float) -> None:
    assert duration_s(f"{hours}h{minutes}m{seconds:.3f}s") == pytest.approx(3600 * hours + 60 * minutes + seconds, abs=0.001)


def test_durations_of_one_unit_and_of_none() -> None:
    assert [duration_s(text) for text in ("12ms", "20", "47.5s", "", None, "never")] == [0.012, 20.0, 47.5, None, None, None]


@pytest.mark.parametrize(
    ("address", "base"),
    [
        (None, "https://api.openai.com/v1"),
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("http://localhost:11434/v1/", "http://localhost:11434/v1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
        ("http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1"),
    ],
)
def test_an_address_is_taken_with_and_without_its_path(address: str | None, base: str) -> None:
    assert base_of(address) == base


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://host", "http://", "http://me:secret@host", "http://host/v1?key=secret"])
def test_an_address_that_is_none_or_holds_a_secret_is_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        base_of(address)
    assert "me:secret" not in str(caught.value)
