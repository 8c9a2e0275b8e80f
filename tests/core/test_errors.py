import pytest

from exomni.core import errors
from exomni.core.events import SpeechEvent


@pytest.mark.parametrize("name", ["InputError", "ConfigError", "FormatError", "OutputError"])
def test_what_the_caller_can_mend_is_a_user_error(name):
    assert issubclass(getattr(errors, name), errors.UserError)


@pytest.mark.parametrize("name", ["AssetError", "CheckpointError", "ServiceError"])
def test_what_the_caller_cannot_mend_is_not(name):
    assert issubclass(getattr(errors, name), errors.ExomniError)
    assert not issubclass(getattr(errors, name), errors.UserError)


def test_an_event_knows_its_time_exactly():
    event = SpeechEvent(start_sample=8_000, samples=None, units=None, text="")
    assert event.start_s * 3 == 1
