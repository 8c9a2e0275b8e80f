import importlib

import pytest

import exomni


def test_public_names_come_when_they_are_asked_for():
    from exomni import ExOmni, ExomniError, Reply, load_published
    from exomni.core import errors
    from exomni.pipeline.exomni import ExOmni as Home

    assert set(exomni.__all__) == {"ExOmni", "ExomniError", "Reply", "load_published"}
    assert ExOmni is Home
    assert ExomniError is errors.ExomniError
    assert Reply.__module__ == "exomni.pipeline.results"
    assert callable(load_published)


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        exomni.nothing  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("exomni.nothing")
