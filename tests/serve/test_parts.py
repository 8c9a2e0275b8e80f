"""The server's parts one by one: turns of a conversation, words in time, buckets, the order of work."""

import asyncio
import threading
import time

import numpy as np
import pytest

from exomni.assets.table import ASSETS, locate
from exomni.core.events import SpeechEvent
from exomni.parts.silero import SileroVoiceActivity
from exomni.pipeline.speech_detector import SpeechDetector, VadConfig
from exomni.serve.conversation import Conversation, ConversationItem, turns_to_answer
from exomni.serve.downloads import KeptReplies
from exomni.serve.hub import Bucket
from exomni.serve.input_audio import InputAudioBuffer
from exomni.serve.outbox import Outbox
from exomni.serve.protocol.server import Cleared, ItemDeleted, SpokenWord
from exomni.serve.scheduler import AHEAD_S, LEAD_S, Job, Scheduler
from exomni.serve.sound_files import is_recording
from exomni.serve.word_times import WordTimer

from .dummies import FIXTURES, LoudnessModel, quiet, speech_of, tone


def entry(role: str, text: str, **changes) -> ConversationItem:
    return ConversationItem(
        f"item_{text[:8]}", role, "input_text" if role == "user" else "output_audio", text, **changes
    )


def test_turns_end_with_the_person_and_hold_what_was_heard():
    words = tuple(
        SpokenWord(text=w, start_sample=i * 100, end_sample=i * 100 + 90) for i, w in enumerate("a b c d".split())
    )
    entries = [
        entry("user", "hello"),
        entry("assistant", "a b c d", words=words, made_samples=400, played_samples=230),
        entry("user", "wait"),
    ]
    assert [t.content for t in turns_to_answer(entries)] == ["hello", "a b", "wait"]
    assert turns_to_answer(entries[:2]) == []
    assert turns_to_answer([]) == []


def test_nothing_heard_is_nothing_said():
    entries = [entry("user", "one"), entry("assistant", "never", played_samples=0), entry("user", "two")]
    assert [(t.role, t.content) for t in turns_to_answer(entries)] == [("user", "one\ntwo")]


def test_instructions_stand_before_what_is_said_next():
    entries = [entry("user", "one"), entry("assistant", "yes"), entry("system", "Sing."), entry("user", "two")]
    assert [t.content for t in turns_to_answer(entries, "Be kind.")] == ["Be kind.\n\none", "yes", "Sing.\n\ntwo"]


def test_the_older_half_is_forgotten():
    conversation = Conversation(4, Outbox())
    remembered = []
    for i in range(8):
        conversation.add(entry("user", str(i)))
        remembered.append("".join(e.text for e in conversation.items))
    assert remembered == ["0", "01", "012", "0123", "234", "2345", "456", "4567"]
    assert conversation.find("item_0") is None


def test_an_item_put_where_all_is_forgotten_comes_first():
    for after in ("root", "item_1"):
        conversation = Conversation(4, Outbox())
        for i in range(4):
            conversation.add(entry("user", str(i)))
        new = entry("user", "new")
        conversation.add(new, after=after)
        assert new.previous_id is None
        assert [e.text for e in conversation.items] == ["new", "2", "3"]


def test_words_lie_where_their_phonemes_are():
    timer = WordTimer()
    event = speech_of("hello big world", 1_000)
    words = timer.place(event)
    assert [w.text for w in words] == ["hello", "big", "world"]
    starts = [1_000 + 1_200 * (1 + i) for i in (0, 6, 10)]
    assert [w.start_sample for w in words] == starts
    assert words[-1].end_sample == 1_000 + 1_200 * 16


def test_words_that_are_said_in_several_share_the_time():
    event = speech_of("forty two", 0)
    words = WordTimer().place(
        SpeechEvent(0, event.samples, event.units, "42", phonemes=event.phonemes, ticks=event.ticks)
    )
    assert [(w.text, w.start_sample, w.end_sample) for w in words] == [("42", 1_200, 1_200 * 10)]


def test_a_clause_in_two_pieces_keeps_its_words_in_order():
    timer, text = WordTimer(), "one two three four"
    first, second = speech_of("one two", 0), speech_of("three four", 24_000)
    placed = [
        timer.place(SpeechEvent(e.start_sample, e.samples, e.units, text, phonemes=e.phonemes, ticks=e.ticks))
        for e in (first, second)
    ]
    assert [[w.text for w in words] for words in placed] == [["one", "two"], ["three", "four"]]
    assert WordTimer().place(SpeechEvent(0, first.samples, first.units, "")) == ()


def test_a_bucket_fills_and_empties():
    now = [0.0]
    bucket = Bucket(2.0, 4.0, lambda: now[0])
    assert bucket.spend(4) == 0
    assert bucket.spend(2) == pytest.approx(1.0)
    assert bucket.wait_s(1) == pytest.approx(1.5)
    now[0] = 10.0
    assert bucket.wait_s(4) == 0
    assert bucket.wait_s(1) == pytest.approx(0.5)


def test_letters_leave_in_order_and_unwanted_ones_are_taken_out():
    async def letters() -> list[str | None]:
        box = Outbox()
        box.put(Cleared(), "reply")
        box.put(ItemDeleted(item_id="kept"))
        box.put(Cleared(), "reply", 100)
        box.drop("reply")
        assert len(box) == 1
        first = await box.take()
        assert box.n_bytes == 0
        later = asyncio.create_task(box.take())
        await asyncio.sleep(0.01)
        assert not later.done()
        box.put(Cleared(), "other", 5)
        second = await later
        return [first.reply_id, "kept" in first.text, second.reply_id, second.end_sample]

    assert asyncio.run(letters()) == [None, True, "other", 5]


def test_the_latest_replies_are_remembered():
    kept = KeptReplies(100_000)
    for i in range(10):
        kept.add(f"r{i}", [np.zeros((10, 52), np.float32)], [np.zeros(8_000, np.float32)], "text", ())
        assert kept.n_bytes <= 100_000
    assert kept.get("r0") is None
    assert kept.get("r9").track().n_frames == 10
    kept.add("empty", [], [], "text", ())
    assert kept.get("empty") is None


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", True),
        (b"RIFF\x00\x00\x00\x00AVI LIST", False),
        (b"OggS" + b"\x00" * 12, True),
        (b"fLaC" + b"\x00" * 12, True),
        (b"\x1aE\xdf\xa3" + b"\x00" * 12, True),
        (b"\x00\x00\x00\x20ftypM4A ", True),
        (b"ID3\x04" + b"\x00" * 12, True),
        (b"\xff\xfb\x90\x00" + b"\x00" * 12, True),
        (b"\xff\xf1\x50\x80" + b"\x00" * 12, True),
        (b"#EXTM3U\nhttp://x", False),
        (b"ffconcat version", False),
        (b"<?xml version='1", False),
        (b"", False),
    ],
)
def test_only_recordings_are_opened(head, expected):
    assert is_recording(head) is expected


# --- the order of work -----------------------------------------------------------------------------------------------


def run_jobs(makers: list, **kinds: tuple) -> list:
    """What the loop hears, in order, of jobs that were submitted at once: (job, piece).

    Args:
        kinds: of `Job`'s flags, which of the jobs have each.
    """
    told, left = [], len(makers)

    async def run() -> None:
        nonlocal left
        scheduler, done = Scheduler(), asyncio.Event()
        scheduler.start()

        def end(error: Exception | None) -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set()

        for i, make in enumerate(makers):
            flags = {name: i in having for name, having in kinds.items()}
            scheduler.submit(Job(make, lambda piece, i=i: told.append((i, piece)), end, **flags))
        await asyncio.wait_for(done.wait(), 10)
        scheduler.stop()

    asyncio.run(run())
    return told


def slow(n_pieces: int, piece=lambda i: i, seconds: float = 0.06):
    def make():
        for i in range(n_pieces):
            time.sleep(seconds)
            yield piece(i)

    return make


def test_jobs_take_turns():
    told = run_jobs([slow(4), slow(4), slow(4)])
    assert [job for job, _ in told] == [0, 1, 2] * 4
    assert [piece for job, piece in told if job == 1] == [0, 1, 2, 3]


def test_who_has_speech_to_listen_to_waits_for_who_has_none():
    long = int((LEAD_S + 2) * 24_000)

    def speech(_):
        return SpeechEvent(0, np.zeros(long, np.float32), np.zeros(0, np.int64), "")

    told = run_jobs([slow(3, speech), slow(5)])
    assert [job for job, _ in told] == [0, 1, 1, 1, 1, 1, 0, 0]


def test_what_nobody_waits_for_comes_when_nobody_is_hungry():
    assert [job for job, _ in run_jobs([slow(2), slow(3), slow(3)], can_wait=(0,))] == [1, 2, 1, 2, 1, 2, 0, 0]


def test_a_rest_ends_before_anybody_may_run_out_of_speech(monkeypatch):
    monkeypatch.setattr("exomni.serve.scheduler.IDLE_RATIO", 1e6)

    def speech(i: int) -> SpeechEvent:
        seconds = 0.2 if i else AHEAD_S + 0.5
        return SpeechEvent(0, np.zeros(int(seconds * 24_000), np.float32), np.zeros(0, np.int64), "")

    assert len(run_jobs([slow(2, speech)], is_live=(0,))) == 2


def test_a_rest_leaves_time_for_a_piece_as_slow_as_the_slowest(monkeypatch):
    now_s, waits = 0.0, []
    scheduler = Scheduler(lambda: now_s)
    monkeypatch.setattr(scheduler._changed, "wait", waits.append)
    job = Job(None, None, None, is_live=True)
    scheduler._jobs.append(job)
    for took_s, speech_s in ((1, 5), (4, 10), (2, 1)):
        now_s += took_s
        scheduler._count(job, SpeechEvent(0, np.zeros(speech_s * 24_000), np.zeros(0, np.int64), ""))
    lead_s = 16 - 6
    scheduler._idle(60)
    scheduler._idle(0.5)
    job.made_s -= 5
    scheduler._idle(60)
    assert waits == [lead_s - 4 - AHEAD_S, 0.5]


def test_work_rests_while_everybody_has_speech_to_hear_and_for_nobody_else(monkeypatch):
    monkeypatch.setattr("exomni.serve.scheduler.IDLE_RATIO", 1e6)
    much = SpeechEvent(0, np.zeros(int((AHEAD_S + 60) * 24_000), np.float32), np.zeros(0, np.int64), "")
    told = []

    async def run() -> None:
        scheduler = Scheduler()
        scheduler.start()

        def begin(name: str, n_pieces: int, piece: object, is_live: bool) -> asyncio.Event:
            ended = asyncio.Event()
            make, tell = slow(n_pieces, lambda _: piece), lambda piece: told.append(name)
            scheduler.submit(Job(make, tell, lambda error: ended.set(), is_live))
            return ended

        await asyncio.wait_for(begin("file", 3, much, False).wait(), 10)
        live = begin("live", 3, much, True)
        while "live" not in told:
            await asyncio.sleep(0.01)
        await asyncio.wait_for(begin("silent", 4, 0, True).wait(), 10)
        assert not live.is_set()
        scheduler.hurry()
        await asyncio.wait_for(live.wait(), 10)
        scheduler.stop()

    asyncio.run(run())
    assert told == ["file"] * 3 + ["live"] + ["silent"] * 4 + ["live"] * 2


def test_a_cancelled_job_is_heard_of_no_more_and_its_work_stops():
    closed = threading.Event()

    def make():
        try:
            for i in range(1_000):
                time.sleep(0.005)
                yield i
        finally:
            closed.set()

    async def run() -> list:
        scheduler, told = Scheduler(), []
        scheduler.start()
        job = Job(make, told.append, lambda error: told.append("end"))
        scheduler.submit(job)
        while len(told) < 3:
            await asyncio.sleep(0.005)
        scheduler.cancel(job)
        seen = len(told)
        await asyncio.to_thread(closed.wait, 5)
        await asyncio.sleep(0.05)
        assert len(told) == seen
        scheduler.stop()
        return told

    assert "end" not in asyncio.run(run())
    assert closed.is_set()


def test_a_paused_job_waits_and_costs_nothing():
    made = []

    def make():
        for i in range(20):
            made.append(i)
            yield i

    async def run() -> None:
        scheduler, done = Scheduler(), asyncio.Event()
        scheduler.start()
        job = Job(make, lambda piece: piece == 0 and scheduler.pause(job, True), lambda error: done.set())
        job.paused = True
        scheduler.submit(job)
        await asyncio.sleep(0.1)
        assert made == []
        scheduler.pause(job, False)
        await asyncio.sleep(0.1)
        scheduler.pause(job, False)
        await asyncio.wait_for(done.wait(), 5)
        scheduler.stop()

    asyncio.run(run())
    assert len(made) == 20


def test_an_error_ends_one_job_and_no_other():
    def broken():
        yield 0
        raise ValueError("broken")

    told = run_jobs([broken, slow(3, seconds=0.01)])
    assert [piece for job, piece in told if job == 1] == [0, 1, 2]


# --- the input audio -------------------------------------------------------------------------------------------------


def audio_buffer(most_s: float = 10, **config) -> InputAudioBuffer:
    made = InputAudioBuffer(lambda config: SpeechDetector(LoudnessModel(), config), round(most_s * 16_000))
    made.detect(VadConfig(**config))
    return made


@pytest.mark.parametrize("piece", [480, 2_400, 100_000])
def test_turns_are_cut_out_whole(piece):
    samples = np.concatenate([quiet(1), tone(1), quiet(1), tone(0.5), quiet(1)])
    buffer = audio_buffer()
    found = [h for i in range(0, len(samples), piece) for h in buffer.add(samples[i : i + piece])]
    assert [h.kind for h in found] == ["started", "stopped"] * 2
    turns = [h.turn.samples for h in found if h.kind == "stopped"]
    for turn, seconds in zip(turns, (1.0, 0.5), strict=True):
        # 0.3 s from before, 0.1 s from after, and as exact as windows of 32 ms are.
        assert seconds + 0.3 <= len(turn) / 16_000 <= seconds + 0.5
        assert (np.abs(turn) > 0.05).mean() > 0.5 * seconds


def test_silence_is_not_kept():
    buffer = audio_buffer()
    for _ in range(100):
        buffer.add(quiet(0.5))
    assert buffer.n_samples - buffer.first_sample < 3 * 16_000


def test_without_finding_turns_all_is_kept_until_it_is_taken():
    buffer = InputAudioBuffer(lambda config: pytest.fail("nobody asked for it"), 16_000)
    buffer.add(tone(0.5))
    assert not buffer.full()
    buffer.add(tone(1.0))
    assert buffer.full()
    assert 1.4 <= len(buffer.commit().samples) / 16_000 <= 1.5
    assert len(buffer.commit().samples) == 0
    assert not buffer.full()


def test_the_documented_settings_are_those_that_hold(tmp_path):
    import re

    from exomni.serve.config import ServerConfig, server_config

    text = (FIXTURES.parent.parent.parent / "docs" / "serving.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    file = tmp_path / "serve.yaml"
    file.write_text(shown)
    assert server_config(file) == ServerConfig()
    assert all(f"{name}:" in shown for name in [*ServerConfig.model_fields, *ServerConfig().limits.model_fields])


def test_a_real_voice_is_noticed_within_a_tenth_of_a_second(question):
    """So that of the 150 ms in which an interrupted reply must fall silent, there is time left to tell."""
    activity = SileroVoiceActivity(locate(ASSETS["silero-vad"])[0])
    onset = int(np.argmax(np.convolve(np.abs(question), np.ones(240) / 240, "same") > 0.01))
    for offset_ms in range(0, 40, 8):
        pause = quiet(1 + offset_ms / 1000)
        samples = np.concatenate([pause, question])
        buffer = InputAudioBuffer(lambda config: SpeechDetector(activity, config), 10 * 16_000)
        buffer.detect(VadConfig())
        for stop in range(480, len(samples), 480):
            if buffer.add(samples[stop - 480 : stop]):
                break
        assert 0 < (stop - len(pause) - onset) / 24 <= 100


def test_the_whole_page_is_in_the_package():
    import tomllib
    from fnmatch import fnmatch

    root = FIXTURES.parent.parent.parent
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["exomni"]
    package = root / "src" / "exomni"
    files = [path for path in (package / "serve" / "web").rglob("*") if path.is_file()]
    assert files
    for path in files:
        own = path.relative_to(package)
        assert any(
            fnmatch(own.name, p.rpartition("/")[2]) and str(own.parent) == p.rpartition("/")[0] for p in patterns
        ), own
