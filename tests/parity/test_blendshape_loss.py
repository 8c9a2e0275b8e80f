import torch

from exomni.train.losses import blendshape_loss

from .conftest import close

KIND = "blendshape_loss"


def test_losses_as_published(fixture):
    io = fixture.io
    target, lengths = io["target"], io["lengths"]
    close(blendshape_loss(io["pred_short"], target, lengths), io["loss_short"])
    close(blendshape_loss(io["pred_long"], target, lengths), io["loss_long"])


def test_odd_lengths_as_published(fixture):
    """A length beyond the target counts as the whole; a row of length 0 counts as no error."""
    io = fixture.io
    whole = io["target"].shape[1]
    over = torch.where(io["lengths"] == whole, whole + 100, io["lengths"])
    close(blendshape_loss(io["pred_long"], io["target"], over), io["loss_over"])
    none = torch.where(io["lengths"] == whole, io["lengths"], 0)
    close(blendshape_loss(io["pred_long"], io["target"], none), io["loss_zero_len"])
