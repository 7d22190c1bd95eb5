"""Property tests here are not timed: a loaded machine must not turn a slow example into a failure."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
