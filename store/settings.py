"""Where data lives when nobody says."""

from pathlib import Path

import platformdirs


def default_data() -> Path:
    """Return the user data directory of the platform for Eyewitness."""
    return Path(platformdirs.user_data_dir("eyewitness", appauthor=False))
