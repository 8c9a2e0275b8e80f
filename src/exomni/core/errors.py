"""The tree of exceptions: what the caller can mend (`UserError`), and what they cannot."""


class ExomniError(Exception):
    """Base of every error that exomni raises on purpose; its message says what to do."""


class UserError(ExomniError):
    """The caller can mend it; the command line exits with 2."""


class InputError(UserError):
    """Text or audio that cannot be used."""


class NoSpeechError(InputError):
    """A recording in which nobody speaks, or nothing that can be understood."""


class ConfigError(UserError):
    """A configuration that is not understood."""


class UnsupportedError(UserError):
    """Something that the loaded model cannot do; the message says which part it lacks."""


class FormatError(UserError):
    """A file that does not follow its format."""


class OutputError(UserError):
    """A place that cannot be written."""


class AssetError(ExomniError):
    """A model file is missing, damaged or not what it should be."""


class CheckpointError(ExomniError):
    """Weights that do not fit the model they are meant for."""


class ServiceError(ExomniError):
    """Something that we talk to over a network failed."""
