from exomni.model.config import SpeechProjectorConfig
from exomni.model.published_layout import SPEECH_PROJECTOR, load_strictly
from exomni.model.speech_projector import SpeechProjector

from .conftest import close

KIND = "speech_projector"


def test_projects_as_published(fixture):
    fields, io = fixture.config, fixture.io
    config = SpeechProjectorConfig(stack_frames=fields["speech_encoder_ds_rate"], d_hidden=fields["inner_dim"])
    projector = SpeechProjector(fields["speech_encoder_hidden_size"], fields["hidden_size"], config)
    load_strictly(projector, fixture.weights, SPEECH_PROJECTOR)
    inputs = [key for key in io if key.startswith("in_")]
    assert inputs
    for key in inputs:
        close(projector(io[key]), io[key.replace("in_", "out_")])
