"""The command line: what it writes, what it says, and how it ends when something is wrong."""

import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from exomni import cli
from exomni.core.errors import AssetError
from exomni.pipeline.results import wav_bytes

FILES = {"speech.wav", "face.json", "face.csv", "reply.json"}
COMMANDS = ("talk", "speak", "animate", "export", "inspect", "live", "train", "release", "evaluate", "doctor", "data")

LIGHT = """
import sys
import exomni, exomni.core.arkit, exomni.core.clauses, exomni.core.emotion, exomni.core.errors, exomni.core.timebase
assert "exomni.pipeline.exomni" not in sys.modules
import exomni.core.events
assert "torch" not in sys.modules, "core imports torch"
from exomni.cli import main
for args in ([], *([name] for name in sys.argv[1:]), ["data", "build"]):
    sys.argv = ["exomni", *args, "--help"]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, (args, end.code)
heavy = {"torch", "transformers", "onnxruntime", "pyarrow", "matplotlib", "av", "hibari"} & set(sys.modules)
assert not heavy, f"--help imports {heavy}"
"""


class Ended:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Function that runs a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def go(*args) -> Ended:
        monkeypatch.setattr(sys, "argv", ["exomni", *map(str, args)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return Ended(code, shown.out, shown.err)

    return go


@pytest.fixture
def ready(omni, monkeypatch):
    """The tiny model, in place of the one that ships."""
    monkeypatch.setattr("exomni.pipeline.exomni.ExOmni.load", lambda preset="nano", **_: omni)
    return omni


@pytest.fixture
def recording(tmp_path, speechlike) -> Path:
    (tmp_path / "me.wav").write_bytes(wav_bytes(speechlike(1.5, 16_000), 16_000))
    return tmp_path / "me.wav"


def test_help_is_quick_and_needs_no_torch():
    done = subprocess.run([sys.executable, "-c", LIGHT, *COMMANDS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


def test_talk_answers_a_recording(run, ready, question, monkeypatch):
    from exomni.pipeline.results import wav_bytes

    Path("question.wav").write_bytes(wav_bytes(question))
    said = "What is the capital of France?"
    ready.parts._built["transcriber"] = SimpleNamespace(prepare=lambda: None, transcribe=lambda samples: said)
    ended = run("talk", "Tell me:", "--audio", "question.wav", "--listen", "transcribe")
    assert ended.code == 0
    assert "heard: Tell me: What is the capital of France?" in ended.err
    facts = json.loads(Path("out/reply.json").read_text())
    assert facts["heard"] == "Tell me: What is the capital of France?"
    assert facts["timings"]["listen_s"] > 0
    lines = run("talk", "--audio", "question.wav", "--stream").out.splitlines()
    assert json.loads(lines[0]) == {"event": "heard", "text": "What is the capital of France?"}


def test_talk_says_and_writes_the_reply(run, ready):
    ended = run("talk", "What is the capital of France?", "-o", "out", "--seed", "4")
    assert ended.code == 0
    assert ended.out.strip() == ready.llm.answer
    assert set(os.listdir("out")) == FILES
    facts = json.loads(Path("out/reply.json").read_text())
    assert facts["text"] == ready.llm.answer
    assert facts["seed"] == 4
    assert "real-time factor" in ended.err


def test_speak_says_the_given_text(run, ready):
    assert run("speak", "Hello there.", "--out", "deep/er").code == 0
    assert json.loads(Path("deep/er/reply.json").read_text())["text"] == "Hello there."


def test_speak_reads_a_file(run, ready):
    Path("text.txt").write_text("\ufeffHello there.\r\nHow are you?\r\n", encoding="utf-8")
    assert run("speak", "--text-file", "text.txt").code == 0
    text = json.loads(Path("out/reply.json").read_text())["text"]
    assert " ".join(text.split()) == "Hello there. How are you?"


def test_animate_writes_a_face_for_a_recording(run, ready, recording):
    ended = run("animate", recording, "-o", "out")
    assert ended.code == 0
    assert ended.out.strip() == ""
    assert ended.err.splitlines()[-1].startswith("1.5 s of speech and 45 frames")
    facts = json.loads(Path("out/reply.json").read_text())
    assert facts["frame_count"] == 45
    assert facts["duration"] == pytest.approx(1.5)
    assert set(os.listdir("out")) == FILES


def test_the_same_seed_gives_the_same_files(run, ready):
    for name in "ab":
        run("speak", "Hello there.", "-o", name, "--seed", "7")
    for name in FILES - {"reply.json"}:
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_stream_prints_a_line_of_json_for_each_event(run, ready):
    ended = run("talk", "Hello?", "--stream")
    events = [json.loads(line) for line in ended.out.splitlines()]
    kinds = [e["event"] for e in events]
    assert kinds[-1] == "done"
    assert "".join(e["text"] for e in events if e["event"] == "text") == ready.llm.answer
    faces = [i for i, kind in enumerate(kinds) if kind == "face"]
    assert faces
    assert all(kinds[i + 1] == "speech" for i in faces)
    assert all(events[i]["start_sample"] == events[i + 1]["start_sample"] for i in faces)
    assert events[-1]["samples"] == sum(e["samples"] for e in events if e["event"] == "speech")


def test_an_emotion_can_be_set_by_hand(run, ready):
    for name, options in (("a", ()), ("b", ("--emotion", "joy=0.9")), ("c", ("--emotion", "joy=0.9,fear=0.2"))):
        assert run("speak", "Hello there.", "-o", name, *options).code == 0
    assert len({Path(name, "face.json").read_bytes() for name in "abc"}) == 3
    assert len({Path(name, "speech.wav").read_bytes() for name in "abc"}) == 1


def test_other_formats_can_be_asked_for(run, ready):
    assert run("speak", "Hello there.", "--to", "srt", "--to", "a2f=take.json").code == 0
    assert {p.suffix for p in Path("out").iterdir()} >= {".srt"}
    assert list(Path().rglob("take.json"))


def test_a_terminal_without_umlauts_is_no_reason_to_stop(ready, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "argv", ["exomni", "speak", "Naïve café—yes, “really”."])
    with suppress(SystemExit):
        cli.main()
    assert b"caf?" in terminal.buffer.getvalue()
    assert "café" in json.loads(Path("out/reply.json").read_text(encoding="utf-8"))["text"]


MISTAKES = {
    "no command that exists": ["sing"],
    "no such option": ["speak", "Hello.", "--loud"],
    "no text": ["speak"],
    "two texts": ["speak", "Hello.", "--text-file", "text.txt"],
    "an empty text": ["speak", ""],
    "only emoji": ["speak", "😀"],
    "an empty question": ["talk", "  "],
    "a question of emoji": ["talk", "😀"],
    "nothing to answer": ["talk"],
    "no recording of a question": ["talk", "--audio", "nowhere.wav"],
    "no way of listening": ["talk", "Hello.", "--listen", "hard"],
    "no data to listen to": ["train", "reading", "--folder", "nothing"],
    "a long question": ["talk", "a" * 8001],
    "an unknown emotion": ["speak", "Hello.", "--emotion", "bliss=1"],
    "an emotion without a number": ["talk", "Hello.", "--emotion", "joy"],
    "too much joy": ["animate", "me.wav", "--emotion", "joy=2"],
    "a negative seed": ["speak", "Hello.", "--seed", "-1"],
    "a seed that is no number": ["speak", "Hello.", "--seed", "x"],
    "a huge seed": ["talk", "Hello.", "--seed", str(2**70)],
    "too fast": ["speak", "Hello.", "--speed", "9"],
    "standing still": ["speak", "Hello.", "--speed", "0"],
    "too cold": ["talk", "Hello.", "--temperature", "-1"],
    "no tokens": ["talk", "Hello.", "--max-tokens", "0"],
    "no such file": ["speak", "--text-file", "nowhere.txt"],
    "a folder for a file": ["speak", "--text-file", "."],
    "bytes that are no text": ["speak", "--text-file", "me.wav"],
    "no recording": ["animate", "nowhere.wav"],
    "a folder for a recording": ["animate", "."],
    "a text for a recording": ["animate", "text.txt"],
    "an empty recording": ["animate", "empty.wav"],
    "a file in the way": ["speak", "Hello.", "-o", "text.txt"],
    "a file in the way of a folder": ["animate", "me.wav", "-o", "text.txt/deeper"],
    "a place nobody can write": ["speak", "Hello.", "-o", "/proc/out"],
    "no format": ["speak", "Hello.", "--to", "nonsense"],
    "no format for a file": ["animate", "me.wav", "--to", "clip.nonsense"],
    "no format before a file": ["talk", "Hello.", "--to", "nonsense=clip.glb"],
    "no stage": ["train", "sleep"],
    "no data": ["train", "speech", "--folder", "nothing"],
    "no recipe": ["train", "speech", "--config", "nothing"],
    "no recipe for data": ["data", "build", "--config", "nothing.yaml"],
    "a recipe that is none": ["data", "build", "--config", "text.txt"],
    "no source": ["inspect", "nowhere.json"],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_users_mistake_exits_with_2_and_a_message(run, ready, recording, mistake):
    Path("text.txt").write_text("precious words")
    Path("empty.wav").write_bytes(b"")
    ended = run(*MISTAKES[mistake])
    assert ended.code == 2
    assert ended.err.strip()
    assert Path("text.txt").read_text() == "precious words"
    assert not Path("out").exists()


def test_a_full_disk_exits_with_2_and_leaves_nothing(run, ready, monkeypatch):
    import errno

    def no_space(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", no_space)
    ended = run("speak", "Hello there.")
    assert ended.code == 2
    assert "No space left on device" in ended.err
    assert list(Path("out").iterdir()) == []


def test_our_own_failure_exits_with_1_and_a_message(run, monkeypatch):
    def fail(*args, **kwargs):
        raise AssetError("the voice is not installed. Install it: pip install something")

    monkeypatch.setattr("exomni.pipeline.exomni.ExOmni.load", fail)
    ended = run("speak", "Hello there.")
    assert ended.code == 1
    assert "exomni: the voice is not installed. Install it: pip install something" in ended.err


def test_stopping_by_hand_is_no_traceback(run, ready, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(ready.llm, "read", interrupted)
    ended = run("speak", "Hello there.")
    assert ended.code in (1, 130)
    assert not Path("out").exists()


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_named(run, device):
    Path("data/speech").mkdir(parents=True)
    ended = run("train", "speech", "--folder", "data", "--runs", "runs", "--device", device)
    assert ended.code == 2
    assert "device" in ended.err
    assert not Path("runs").exists()


def test_a_data_set_that_is_not_whole_is_told(run):
    for name in ("texts", "speech", "hidden"):
        Path("data", name).mkdir(parents=True)
    ended = run("train", "joint", "--folder", "data", "--runs", "runs")
    assert ended.code == 2
    told = " ".join(ended.err.split())
    assert "the data set in data has no faces, posed;" in told
    assert "exomni data build --config nano --folder data" in told


def test_runs_that_released_weights_stand_for_are_named(run, monkeypatch):
    from exomni.train.stages import STAGES

    for name in STAGES["face"].passes:
        Path("data", name).mkdir(parents=True)
    written = [["speech", "joint"], []]
    monkeypatch.setattr("exomni.train.release.stand_in", lambda released, runs: written.pop(0))
    told = [run("train", "face", "--folder", "data", "--runs", "runs", "--released", "weights").err for _ in range(2)]
    assert "weights stands for the runs speech, joint in runs" in told[0]
    assert "stands for" not in told[1]


def test_releasing_what_was_not_trained_is_refused(run):
    ended = run("release", "weights", "--runs", "nothing", "--folder", "nothing")
    assert ended.code in (1, 2)
    assert "model.safetensors" in ended.err
    assert not [p for p in Path("weights").rglob("*") if p.is_file()]


def test_doctor_tells_of_everything(run, tmp_path, monkeypatch):
    from exomni.assets.table import ASSETS

    monkeypatch.setattr("exomni.cli.doctor.locate", lambda asset: [Path(__file__)])
    ended = run("doctor")
    assert ended.code == 0
    assert all(name in ended.out for name in (*ASSETS, "torch", "cache", "GFLOP/s", "cores"))
    assert "MISSING" not in ended.out.split("weights of nano")[0]


def test_doctor_tells_what_is_missing(run, monkeypatch):
    def nowhere(asset):
        raise AssetError(f"{asset.name} is not installed")

    monkeypatch.setattr("exomni.cli.doctor.locate", nowhere)
    ended = run("doctor")
    assert ended.code == 0
    assert "MISSING: hibari-heart is not installed" in ended.out


def test_render_wants_a_size_it_can_read(run):
    ended = run("render", "nowhere", "-o", "clip.mp4", "--size", "5")
    assert ended.code == 2
    assert "WIDTHxHEIGHT" in ended.err
    assert not Path("clip.mp4").exists()
