"""Does it understand speech: words repeated, replies to spoken and typed questions, right answers, and how soon."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.audio import read_audio
from ..core.errors import FormatError, InputError, NoSpeechError
from ..core.timebase import ENCODER_SAMPLE_HZ
from ..core.word_errors import count_word_errors, spoken_words
from ..data import store
from ..data.asr_build import CLEAN_DB
from ..data.speech_pass import from_flac
from ..pipeline.spoken_prompts import DEFAULT_LISTEN
from .metric import Goal, Metric, by_key, line, mean

REPEAT = "Repeat what you hear:"
REPLY_TOKENS = 30
SAME_CONTENT = 0.5
"""Two replies have the same content from this content-word F1 on."""
_COMMON = frozenset(
    """a an the and or but if of to in on at by for with from as is are was were be been being it its this that these
    those there here he she they them his her their you your i me my we our us not no do does did have has had will
    would can could should may might must so than then also very more most some any all each other which who what when
    where how why about into over such only just like one""".split()
)


@dataclass(frozen=True, eq=False)
class HeldOutClip:
    """A text said by a voice that was never trained on: float32 [N], 16 kHz; `snr_db` is `CLEAN_DB` without noise."""

    text: str
    is_question: bool
    voice: str
    snr_db: float
    samples: np.ndarray


class ListenWay:
    """A way, one of `pipeline.spoken_prompts.LISTEN`, in which speech reaches the LLM of a loaded `ExOmni`."""

    def __init__(self, omni, way: str):
        self.name, self._omni = way, omni
        omni.spoken_prompts.prepare(way)

    def transcribe(self, samples: np.ndarray) -> str:
        """What is understood, in words; 16 kHz."""
        return self._omni.spoken_prompts.transcribe(samples, ENCODER_SAMPLE_HZ, listen=self.name)

    def answer(self, before: str, samples: np.ndarray) -> str:
        """The LLM's reply to a typed text ("" for none) and speech, at most `REPLY_TOKENS` long."""
        prompt = [before, samples] if before else samples
        turns, _ = self._omni.spoken_prompts.turns(prompt, ENCODER_SAMPLE_HZ, self.name, str)
        return "".join(token.text for token in self._omni.parts.writer.write(turns, max_new_tokens=REPLY_TOKENS))

    def first_audio_s(self, samples: np.ndarray) -> float:
        """Seconds from the end of a question to the first sound of the reply."""
        options = {"sample_rate": ENCODER_SAMPLE_HZ, "listen": self.name, "max_new_tokens": REPLY_TOKENS}
        *_, done = self._omni.stream(samples, **options)
        return done.timings["first_audio_s"]


def _word_errors(name: str) -> Callable[[Sequence[dict]], float]:
    """Computes the word error rate of what was "read" or "repeated"."""
    return lambda rows: sum(r[f"{name}_errors"] for r in rows) / sum(r["words"] for r in rows)


def _agreements(rows: Sequence[dict]) -> np.ndarray:
    return np.array([r["agreement"] for r in rows if "agreement" in r])


def _median_first_audio_s(rows: Sequence[dict]) -> float:
    times = [r["first_audio_s"] for r in rows if r.get("first_audio_s")]
    return float(np.median(times)) if times else np.nan


def _share(native: float, transcribed: float) -> float | None:
    return 100 * native / transcribed if transcribed else None


def _line(way: str, noise: str) -> dict[str, str]:
    return {"way": way, "noise": noise, "voice": "all"}


METRICS = by_key(
    Metric("clips", "clips", len),
    Metric("read_wer", "read WER %", _word_errors("read"), scale=100),
    Metric(
        "repeat_wer", "repeat WER %", _word_errors("repeated"), scale=100,
        goals=(
            Goal("repeat WER, clean, native, %", "at most", 15.0, _line("native", "clean")),
            Goal("repeat WER, 10 dB, native, %", "at most", 25.0, _line("native", "10 dB")),
        ),
    ),
    Metric(
        "same_content", "same content %", lambda rows: mean(_agreements(rows) >= SAME_CONTENT), scale=100,
        goals=(
            Goal("agreement, native of transcribe, %", "at least", 80.0, _line("native", "clean"),
                 beside=_line("transcribe", "clean"), compare=_share),
        ),
    ),
    Metric("overlap", "overlap", lambda rows: mean(_agreements(rows))),
    Metric(
        "first_audio_s", "first audio s", _median_first_audio_s,
        goals=(Goal("end of speech to first audio, s", "at most", 1.0, _line(DEFAULT_LISTEN, "clean")),),
    ),
)  # fmt: skip
"""Each is computed from the rows of one way, one level of noise and one voice (or all), at least one."""


def held_out_clips(folder: Path, limit: int = 0) -> list[HeldOutClip]:
    """The held-out voices' clips of a data set of `data.asr_build`; an InputError where there are none.

    `limit` is the most texts of each voice, and the most questions (0: all).
    """
    clips: list[HeldOutClip] = []
    said: dict[tuple[str, bool], set[str]] = {}
    for path in sorted((folder / "heard").glob("*.parquet")):
        for row in store.read_shard(path, ["text", "is_question", "voice", "split", "snr_db", "sound"]):
            own = said.setdefault((row["voice"], row["is_question"]), set())
            if row["split"] != "test" or (limit and row["text"] not in own and len(own) >= limit):
                continue
            own.add(row["text"])
            sound = from_flac(row["sound"])
            clips.append(HeldOutClip(row["text"], row["is_question"], row["voice"], row["snr_db"], sound))
    if not clips:
        raise InputError(f"{folder} holds no held-out voices; build them with: exomni data hear")
    return clips


def speech_input(
    ways: Sequence[ListenWay], typed: Callable[[str], str], clips: Sequence[HeldOutClip],
    questions: Sequence["SpokenQuestion"] = (), progress=iter,
) -> dict:  # fmt: skip
    """Measure every way in which speech reaches the LLM on the same clips of held-out voices.

    `typed` is the LLM's reply to a typed question, as `ListenWay.answer` gives it for a spoken one; `questions`, with
    accepted answers, are for spoken question answering.

    Returns:
        `table`, `questions` (its table, where some are given) and `rows` (every clip).
    """
    replies: dict[str, str] = {}
    rows = []
    for clip in progress(clips):
        if clip.is_question and clip.text not in replies:
            replies[clip.text] = typed(clip.text)
        rows += [_row(way, clip, replies[clip.text] if clip.is_question else None) for way in ways]
    table = [
        {"way": way.name, "noise": noise_name(snr_db), "voice": voice, **line(METRICS, own)}
        for way in ways
        for snr_db in sorted({c.snr_db for c in clips}, reverse=True)
        for voice in ("all", *sorted({c.voice for c in clips}))
        if (own := _rows_of(rows, way.name, snr_db, voice))
    ]
    return {"table": table, "questions": right_answers(ways, typed, questions), "rows": rows}


def _rows_of(rows: Sequence[dict], way: str, snr_db: float, voice: str) -> list[dict]:
    return [r for r in rows if r["way"] == way and r["noise"] == noise_name(snr_db) and voice in ("all", r["voice"])]


def _row(way: ListenWay, clip: HeldOutClip, typed: str | None) -> dict:
    row: dict[str, Any] = {"way": way.name, "voice": clip.voice, "noise": noise_name(clip.snr_db), "text": clip.text}
    row["read"] = _or_nothing(way.transcribe, clip.samples)
    row["repeated"] = _or_nothing(lambda samples: way.answer(REPEAT, samples), clip.samples)
    for name in ("read", "repeated"):
        errors = count_word_errors(clip.text, row[name])
        row |= {f"{name}_errors": errors.errors, "words": errors.words}
    if typed is not None:
        row["typed"], row["answer"] = typed, _or_nothing(lambda samples: way.answer("", samples), clip.samples)
        row["agreement"] = content_overlap(typed, row["answer"])
        if clip.snr_db == CLEAN_DB:
            row["first_audio_s"] = _or_nothing(way.first_audio_s, clip.samples) or None
    return row


def _or_nothing(listen: Callable, samples: np.ndarray):
    """What a way makes of speech, "" where it finds none."""
    try:
        return listen(samples)
    except NoSpeechError:
        return ""


def noise_name(snr_db: float) -> str:
    """A level of noise in words."""
    return "clean" if snr_db == CLEAN_DB else f"{snr_db:g} dB"


def content_overlap(a: str, b: str) -> float:
    """F1 of the content words of two texts: 1 where they say it in the same words, 0 where they share none.

    Common words do not count, repeated ones count once; two texts without content agree.
    """
    one, two = ({w for w in spoken_words(text) if w not in _COMMON} for text in (a, b))
    if not one and not two:
        return 1.0
    return 2 * len(one & two) / (len(one) + len(two))


@dataclass(frozen=True, eq=False)
class SpokenQuestion:
    """A recording of a question, the question in words, and answers of which any is right."""

    question: str
    answers: tuple[str, ...]
    recording: Path


def read_questions(folder: Path) -> list[SpokenQuestion]:
    """Spoken questions of a folder: recordings, and a TSV with the columns `audio`, `question` and `answer`.

    Several accepted answers are separated by `|`. (The layout in which Llama Questions is passed around.)

    Raises:
        InputError: there is no TSV, or a recording is missing.
        FormatError: the TSV lacks a column.
    """
    tables = sorted(folder.glob("*.tsv"))
    if len(tables) != 1:
        raise InputError(f"{folder} holds {len(tables)} TSV files; one is needed, with audio, question and answer")
    with tables[0].open(encoding="utf-8", newline="") as file:
        rows = [{k.strip().lower(): v for k, v in row.items() if k} for row in csv.DictReader(file, delimiter="\t")]
    questions = []
    for row in rows:
        if missing := [name for name in ("audio", "question", "answer") if not row.get(name)]:
            raise FormatError(f"{tables[0]} has a row without {', '.join(missing)}")
        path = folder / row["audio"]
        if not path.is_file():
            raise InputError(f"{path} is not there, and {tables[0].name} names it")
        answers = tuple(a.strip() for a in row["answer"].split("|") if a.strip())
        questions.append(SpokenQuestion(row["question"], answers, path))
    if not questions:
        raise FormatError(f"{tables[0]} holds no questions")
    return questions


def right_answers(
    ways: Sequence[ListenWay], typed: Callable[[str], str], questions: Iterable[SpokenQuestion]
) -> list[dict]:
    """Share of questions whose reply holds an accepted answer, spoken and typed; empty without questions."""
    right: dict[str, list[bool]] = {}
    for item in questions:
        samples = read_audio(item.recording, ENCODER_SAMPLE_HZ)
        right.setdefault("typed", []).append(holds_answer(typed(item.question), item.answers))
        for way in ways:
            reply = _or_nothing(lambda sound, way=way: way.answer("", sound), samples)
            right.setdefault(way.name, []).append(holds_answer(reply, item.answers))
    return [{"way": name, "questions": len(own), "right %": 100 * float(np.mean(own))} for name, own in right.items()]


def holds_answer(reply: str, answers: Sequence[str]) -> bool:
    """Whether a reply holds one of the answers, word for word, however it is spelled."""
    said = f" {' '.join(spoken_words(reply))} "
    return any(f" {' '.join(spoken_words(answer))} " in said for answer in answers if spoken_words(answer))
