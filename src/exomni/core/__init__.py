"""Facts that every part shares and none of them may bend: time, shapes, events, errors, configuration.

Nothing here imports torch.
"""
