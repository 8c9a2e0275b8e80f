"""Does it hear: words repeated, replies to spoken questions beside typed ones, answers that are right, and how soon."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..core.errors import FormatError, InputError, NothingHeardError
from ..core.timebase import ENCODER_SAMPLE_HZ
from ..core.word_errors import count_word_errors, spoken_words
from ..data import store
from ..data.asr_build import CLEAN_DB

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
class Clip:
    """Somebody says a text.

    Attributes:
        text: what is said.
        is_question: whether it is something to answer.
        voice: who says it.
        snr_db: power of the speech over that of the noise; `CLEAN_DB` for none.
        samples: float32 [N], 16 kHz.
    """

    text: str
    is_question: bool
    voice: str
    snr_db: float
    samples: np.ndarray


class Hearer(Protocol):
    """One way of listening."""

    name: str

    def read(self, samples: np.ndarray) -> str:
        """What is understood, in words; 16 kHz."""

    def answer(self, before: str, samples: np.ndarray) -> str:
        """The LLM's reply to a typed text ("" for none) and speech, at most `REPLY_TOKENS` long."""

    def first_audio_s(self, samples: np.ndarray) -> float:
        """Seconds from the end of a question to the first sound of the reply."""


class OmniHearer:
    """A way in which exomni listens.

    Args:
        omni: a loaded `exomni.ExOmni`.
        way: one of `exomni.pipeline.spoken_prompts.LISTEN`.
    """

    def __init__(self, omni, way: str):
        self.name, self._omni = way, omni
        omni.ear.prepare(way)

    def read(self, samples: np.ndarray) -> str:
        """As the protocol says."""
        ear = self._omni.ear
        if self.name == "transcribe":
            return ear.transcribe(samples, ENCODER_SAMPLE_HZ)
        return ear.hear(samples, ENCODER_SAMPLE_HZ)[1]

    def answer(self, before: str, samples: np.ndarray) -> str:
        """As the protocol says."""
        prompt = [before, samples] if before else samples
        turns, _ = self._omni.ear.turns(prompt, ENCODER_SAMPLE_HZ, self.name, str)
        return "".join(token.text for token in self._omni.chat.reply(turns, max_new_tokens=REPLY_TOKENS))

    def first_audio_s(self, samples: np.ndarray) -> float:
        """As the protocol says."""
        options = {"sample_rate": ENCODER_SAMPLE_HZ, "listen": self.name, "max_new_tokens": REPLY_TOKENS}
        *_, done = self._omni.stream(samples, **options)
        return done.timings["first_audio_s"]


def held_out_clips(folder: Path, limit: int = 0) -> list[Clip]:
    """The held-out voices' clips of a data set of `data.hearing`.

    Args:
        folder: the data set.
        limit: most texts of each voice, and most questions (0: all).
    Raises:
        InputError: there are none.
    """
    import soundfile

    clips: list[Clip] = []
    said: dict[tuple[str, bool], set[str]] = {}
    for path in sorted((folder / "heard").glob("*.parquet")):
        for row in store.read_shard(path, ["text", "is_question", "voice", "split", "snr_db", "sound"]):
            own = said.setdefault((row["voice"], row["is_question"]), set())
            if row["split"] != "test" or (limit and row["text"] not in own and len(own) >= limit):
                continue
            own.add(row["text"])
            samples, _ = soundfile.read(io.BytesIO(row["sound"]), dtype="float32")
            clips.append(Clip(row["text"], row["is_question"], row["voice"], row["snr_db"], samples))
    if not clips:
        raise InputError(f"{folder} holds no held-out voices; build them with: exomni data hear")
    return clips


def speech_input(
    hearers: Sequence[Hearer], typed: Callable[[str], str], clips: Sequence[Clip], spoken: Sequence["Spoken"] = (),
    progress=iter,
) -> dict:  # fmt: skip
    """Measure every way of listening on the same clips.

    Args:
        hearers: the ways.
        typed: the LLM's reply to a typed question, as `Hearer.answer` gives it for a spoken one.
        clips: of held-out voices.
        spoken: questions with accepted answers, for spoken question answering.
        progress: wraps the clips, for a progress bar.
    Returns:
        `table`, `questions` (its table, where some are given) and `rows` (every clip).
    """
    replies: dict[str, str] = {}
    rows = []
    for clip in progress(clips):
        if clip.is_question and clip.text not in replies:
            replies[clip.text] = typed(clip.text)
        for hearer in hearers:
            rows.append(_row(hearer, clip, replies[clip.text] if clip.is_question else None))
    table = [
        line
        for hearer in hearers
        for snr_db in sorted({c.snr_db for c in clips}, reverse=True)
        for voice in ("all", *sorted({c.voice for c in clips}))
        if (line := _summary(rows, hearer.name, snr_db, voice))
    ]
    return {"table": table, "questions": answered(hearers, typed, spoken), "rows": rows}


def _row(hearer: Hearer, clip: Clip, typed: str | None) -> dict:
    row = {"way": hearer.name, "voice": clip.voice, "noise": noise_name(clip.snr_db), "text": clip.text}
    row["read"] = _or_nothing(hearer.read, clip.samples)
    row["repeated"] = _or_nothing(lambda samples: hearer.answer(REPEAT, samples), clip.samples)
    for name in ("read", "repeated"):
        errors = count_word_errors(clip.text, row[name])
        row |= {f"{name}_errors": errors.errors, "words": errors.words}
    if typed is not None:
        row["typed"], row["answer"] = typed, _or_nothing(lambda samples: hearer.answer("", samples), clip.samples)
        row["agreement"] = content_overlap(typed, row["answer"])
        if clip.snr_db == CLEAN_DB:
            row["first_audio_s"] = _or_nothing(hearer.first_audio_s, clip.samples) or None
    return row


def _or_nothing(listen: Callable, samples: np.ndarray):
    try:
        return listen(samples)
    except NothingHeardError:
        return ""


def noise_name(snr_db: float) -> str:
    """A level of noise in words."""
    return "clean" if snr_db == CLEAN_DB else f"{snr_db:g} dB"


def _summary(rows: Sequence[dict], way: str, snr_db: float, voice: str) -> dict | None:
    own = [r for r in rows if r["way"] == way and r["noise"] == noise_name(snr_db) and voice in ("all", r["voice"])]
    if not own:
        return None
    words = sum(r["words"] for r in own)
    asked = [r for r in own if "agreement" in r]
    times = [r["first_audio_s"] for r in own if r.get("first_audio_s")]
    return {
        "way": way, "noise": noise_name(snr_db), "voice": voice, "clips": len(own),
        "read WER %": 100 * sum(r["read_errors"] for r in own) / words,
        "repeat WER %": 100 * sum(r["repeated_errors"] for r in own) / words,
        "same content %": 100 * float(np.mean([r["agreement"] >= SAME_CONTENT for r in asked])) if asked else np.nan,
        "overlap": float(np.mean([r["agreement"] for r in asked])) if asked else np.nan,
        "first audio s": float(np.median(times)) if times else np.nan,
    }  # fmt: skip


def content_overlap(a: str, b: str) -> float:
    """F1 of the content words of two texts: 1 where they say it in the same words, 0 where they share none.

    Common words do not count, repeated ones count once; two texts without content agree.
    """
    one, two = ({w for w in spoken_words(text) if w not in _COMMON} for text in (a, b))
    if not one and not two:
        return 1.0
    return 2 * len(one & two) / (len(one) + len(two))


@dataclass(frozen=True, eq=False)
class Spoken:
    """A spoken question with the answers that count.

    Attributes:
        question: in words.
        answers: any of them is right.
        recording: its file.
    """

    question: str
    answers: tuple[str, ...]
    recording: Path


def read_questions(folder: Path) -> list[Spoken]:
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
        questions.append(Spoken(row["question"], answers, path))
    if not questions:
        raise FormatError(f"{tables[0]} holds no questions")
    return questions


def answered(hearers: Sequence[Hearer], typed: Callable[[str], str], spoken: Iterable[Spoken]) -> list[dict]:
    """Share of questions whose reply holds an accepted answer, spoken and typed; empty without questions."""
    from ..core.audio import read_audio

    right: dict[str, list[bool]] = {}
    for item in spoken:
        samples = read_audio(item.recording, ENCODER_SAMPLE_HZ)
        right.setdefault("typed", []).append(holds_answer(typed(item.question), item.answers))
        for hearer in hearers:
            reply = _or_nothing(lambda sound, hearer=hearer: hearer.answer("", sound), samples)
            right.setdefault(hearer.name, []).append(holds_answer(reply, item.answers))
    return [{"way": name, "questions": len(own), "right %": 100 * float(np.mean(own))} for name, own in right.items()]


def holds_answer(reply: str, answers: Sequence[str]) -> bool:
    """Whether a reply holds one of the answers, word for word, however it is spelled."""
    said = f" {' '.join(spoken_words(reply))} "
    return any(f" {' '.join(spoken_words(answer))} " in said for answer in answers if spoken_words(answer))
