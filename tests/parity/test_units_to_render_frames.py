import pytest
import torch

from exomni.core.timebase import units_to_frames
from exomni.model.blendshape_decoder import units_to_render_frames

KIND = "units_to_render_frames"


def test_counts_as_published_where_asked(fixture):
    frames = fixture.io["frames_for_n"].tolist()
    assert [units_to_render_frames(torch.ones(1, n, dtype=torch.long)) for n in range(len(frames))] == frames


def test_labelled_cases_as_published(fixture):
    checked = 0
    for case in fixture.config["cases"]:
        if not case["kwargs"]:
            assert units_to_render_frames(torch.tensor(case["units"])) == case["result"], case["label"]
            checked += 1
    assert checked


def test_our_own_count_loses_nothing(fixture):
    """The exact count differs from the published one only where floating point lost a frame."""
    frames = fixture.io["frames_for_n"].tolist()
    lost = set(fixture.config["float_floor_differs_from_integer_12n_div_5_at"])
    for n, published in enumerate(frames):
        assert units_to_frames(n) == published + (n in lost)


@pytest.mark.parametrize("ids", [[0, 6, 0, 8, 9], [0, 0, 0, 0, 0]])
def test_unit_zero_counts_in_ours(ids, fixture):
    assert units_to_frames(len(ids)) == 12 > units_to_render_frames(torch.tensor([ids]))
