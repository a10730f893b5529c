"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# A machine that is busy with something else is no failure. The same code gets the same examples each
# time: its tests have one outcome. New ones are looked for by `pytest --hypothesis-profile=searching`,
# and by fuzz/.
settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("searching", settings.get_profile("unhurried"), derandomize=False)
settings.load_profile("unhurried")
