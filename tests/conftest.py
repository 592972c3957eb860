"""Settings for every test: time on a busy machine decides nothing, so no assertion is about time (see ``waiting``)."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("repository", deadline=None)
settings.load_profile("repository")
