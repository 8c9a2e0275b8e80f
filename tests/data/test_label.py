"""Later passes: only what is missing or made otherwise is made, in the order of the rows."""

import numpy as np
import pytest
import torch

from exomni.core.timebase import samples_to_frames
from exomni.data.label import drawn, face_columns, face_label, hidden_label, label_units, run_pass
from exomni.data.speech_pass import to_flac
from exomni.data.store import read_shard, shard_metadata, write_shard
from exomni.data.teachers import PAD
from exomni.parts.ports import Clause


@pytest.fixture
def spoken(tmp_path):
    rng = np.random.default_rng(0)
    for shard in range(2):
        rows = [
            {"id": f"{shard}-{i}", "text": "I am so happy for you!" if i else "Yes.", "prompt": "Why?",
             "disguised": i == 1, "seconds": 1.01 + i, "phonemes": np.array([0, 5, 6, 0], np.int16),
             "ticks": np.array([2, 20, 15, 3], np.int16),
             "speech": to_flac(np.zeros(round((1.01 + i) * 24_000), np.float32))}
            for i in range(3)
        ]  # fmt: skip
        write_shard(tmp_path / "speech" / f"{shard}.parquet", rows, {})
        features = [{"id": r["id"], "features": rng.standard_normal((10, 8)).astype(np.float16)} for r in rows]
        write_shard(tmp_path / "features" / f"{shard}.parquet", features, {})
    return tmp_path


def test_a_pass_labels_every_row_that_gets_a_label(spoken):
    assert run_pass(spoken, "marks", ["text"], lambda r: {"n": len(r["text"])} if r["text"] != "Yes." else {}, {}) == 4
    rows = list(read_shard(spoken / "marks" / "1.parquet"))
    assert [r["id"] for r in rows] == ["1-1", "1-2"]
    assert rows[0]["n"] == 22


def test_a_pass_goes_on_where_it_stopped(spoken):
    seen = []

    def label(row):
        seen.append(row["id"])
        return {"n": 1}

    run_pass(spoken, "marks", ["text"], label, {"by": "me"})
    before = (spoken / "marks" / "0.parquet").read_bytes()
    (spoken / "marks" / "1.parquet").unlink()
    seen.clear()
    assert run_pass(spoken, "marks", ["text"], label, {"by": "me"}) == 3
    assert seen == ["1-0", "1-1", "1-2"]
    assert (spoken / "marks" / "0.parquet").read_bytes() == before
    assert run_pass(spoken, "marks", ["text"], label, {"by": "me"}) == 0


def test_another_maker_makes_it_all_again(spoken):
    run_pass(spoken, "marks", ["text"], lambda r: {"n": 1}, {"by": "me"})
    assert run_pass(spoken, "marks", ["text"], lambda r: {"n": 2}, {"by": "you"}) == 6
    assert {r["n"] for r in read_shard(spoken / "marks" / "0.parquet")} == {2}
    assert shard_metadata(spoken / "marks" / "0.parquet") == {"by": "you"}


def test_progress_sees_the_shards_that_are_to_do(spoken):
    seen = []

    def progress(shards):
        seen.extend(p.name for p in shards)
        return iter(shards)

    run_pass(spoken, "marks", ["text"], lambda r: {"n": 1}, {}, progress)
    assert seen == ["0.parquet", "1.parquet"]


def test_hidden_states_answer_the_prompt(spoken):
    asked = []

    class Chat:
        def read(self, text, prompt):
            asked.append((text, prompt))
            return Clause(text, torch.ones(3, 4))

    texts = [{"id": str(i), "text": "I am so happy for you!", "prompt": "Why?"} for i in range(2)]
    write_shard(spoken / "texts" / "7.parquet", texts, {})
    run_pass(spoken, "hidden", ["text", "prompt"], hidden_label(Chat()), {}, source="texts")
    rows = list(read_shard(spoken / "hidden" / "7.parquet"))
    assert [r["id"] for r in rows] == ["0", "1"]
    assert rows[0]["hidden"].dtype == np.float16
    assert rows[0]["hidden"].shape == (3, 4)
    assert ("I am so happy for you!", "Why?") in asked


class Teacher:
    """Gives a face that shows what it was told."""

    name = "fake"

    def __init__(self, listens: bool = False):
        self.listens = listens
        self.clips = []

    def label(self, clip) -> np.ndarray:
        self.clips.append(clip)
        return np.full((clip.n_frames, 52), 0.5, np.float32)


def test_a_face_fits_its_speech_and_its_words(spoken):
    teacher = Teacher()
    run_pass(spoken, "faces", face_columns(teacher), face_label(teacher, {0: "", 5: "a", 6: "b"}), {})
    rows = list(read_shard(spoken / "faces" / "0.parquet"))
    assert [r["id"] for r in rows] == ["0-0", "0-2"]
    for row, seconds in zip(rows, (1.01, 3.01), strict=True):
        assert row["blendshapes"].shape == (samples_to_frames(round(seconds * 24_000)), 52)
        assert row["blendshapes"].dtype == np.float16
        assert row["emotion"].shape == (5,)
    assert rows[1]["emotion"][3] > 0.2, "joy"
    assert not rows[0]["emotion"].any()
    assert list(teacher.clips[0].symbols) == [PAD, "a", "b", PAD]
    assert list(teacher.clips[0].ticks) == [2, 20, 15, 3]
    assert len({clip.seed for clip in teacher.clips}) == 4


def test_a_face_is_random_by_its_row_alone(spoken):
    first, again = Teacher(), Teacher()
    for teacher, name in ((first, "faces"), (again, "faces2")):
        run_pass(spoken, name, face_columns(teacher), face_label(teacher, {0: "", 5: "a", 6: "b"}), {})
    assert [c.seed for c in first.clips] == [c.seed for c in again.clips]


def test_a_face_can_be_posed_with_an_emotion_that_its_words_do_not_say(spoken):
    teacher = Teacher()
    label = face_label(teacher, {0: "", 5: "a", 6: "b"}, drawn)
    run_pass(spoken, "posed", face_columns(teacher), label, {})
    first = [r["emotion"] for r in read_shard(spoken / "posed" / "0.parquet")]
    run_pass(spoken, "again", face_columns(teacher), label, {})
    assert np.array_equal(first, [r["emotion"] for r in read_shard(spoken / "again" / "0.parquet")])
    many = np.stack([drawn({"id": str(i)}) for i in range(500)])
    assert ((many >= 0) & (many <= 1)).all()
    assert 0.04 < (many.max(1) == 0).mean() < 0.2
    assert ((many > 0.5).mean(0) > 0.05).all(), "every emotion is seen strong"


def test_a_teacher_that_listens_hears_the_row(spoken):
    deaf, listening = Teacher(), Teacher(listens=True)
    for teacher in (deaf, listening):
        run_pass(
            spoken, f"faces-{teacher.listens}", face_columns(teacher), face_label(teacher, {0: "", 5: "", 6: ""}), {}
        )
    assert all(clip.audio is None for clip in deaf.clips)
    heard = {len(clip.audio) for clip in listening.clips}
    assert heard == {round(1.01 * 24_000), round(3.01 * 24_000)}


class Tokenizer(torch.nn.Module):
    """Units that count from a start."""

    def __init__(self, start: int):
        super().__init__()
        self.start = start

    def forward(self, features):
        return None, self.start + torch.arange(features.shape[1])[None]


def test_units_follow_the_tokenizer(spoken):
    label_units(spoken, Tokenizer(100), {"tokenizer": "a"})
    path = spoken / "units" / "1.parquet"
    rows = list(read_shard(path))
    assert [r["id"] for r in rows] == ["1-0", "1-1", "1-2"]
    assert rows[0]["units"].tolist() == list(range(100, 110))
    label_units(spoken, Tokenizer(0), {"tokenizer": "a"})
    assert next(read_shard(path))["units"][0] == 100
    label_units(spoken, Tokenizer(7), {"tokenizer": "b"})
    assert next(read_shard(path))["units"][0] == 7


def test_units_of_a_large_codebook_fit():
    from exomni.data.label import _tokenize

    assert _tokenize(Tokenizer(3990), np.zeros((10, 8), np.float16)).max() == 3999
