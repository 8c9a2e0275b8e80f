"""The page in a real browser: what is typed, heard, seen and interrupted."""

import base64
import re
import time
from pathlib import Path

import numpy as np
import pytest

from exomni import serve
from exomni.core import arkit
from exomni.core.timebase import FRAME_HZ, SAMPLE_HZ

from .conftest import VOICE_HZ, WATCH
from .mock_server import N_FRAMES, RAMP, WORDS, MockServer
from .tiny_head import MOVE_M, tiny_head, vrm0, vrm1

WITHIN_MS = 150
TRIES = 3
"""Of what has to be quick: the computer may be busy with something else."""
PICTURE = """() => {
  const {renderer, scene, camera} = exomni.stage;
  renderer.render(scene, camera);
  const gl = renderer.getContext();
  const pixels = new Uint8Array(4 * gl.drawingBufferWidth * gl.drawingBufferHeight);
  gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  return Array.from(pixels);
}"""
DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name));
  for (const type of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(type, {dataTransfer: files, bubbles: true, cancelable: true}));
  }
}"""


def ask(page, text: str = "What is it?") -> None:
    """Types a question and sends it with Enter."""
    page.fill("#text", text)
    page.press("#text", "Enter")


def until(page, condition: str, within_s: float = 60) -> None:
    """Waits until something holds; Playwright's own waiting compiles text, which the page's policy forbids."""
    end_s = time.monotonic() + within_s
    while not page.evaluate(f"Boolean({condition})"):
        assert time.monotonic() < end_s, f"never: {condition}"
        page.wait_for_timeout(20)


def until_mood(page, mood: str) -> None:
    until(page, f"exomni.conversation.mood === {mood!r}")


def until_heard(page, seconds: float) -> None:
    until(page, f"exomni.conversation.now()?.seconds > {seconds}")


def until_report(page, name: str) -> str:
    """What is said of a head, once it is said of this one."""
    until(page, f"document.querySelector('#head-report').textContent.startsWith({name!r})")
    return page.locator("#head-report").text_content()


def test_a_typed_question_is_answered_with_words_captions_and_a_face(open_page, mock):
    page = open_page()
    page.evaluate(WATCH, RAMP)
    ask(page)
    page.wait_for_selector("#caption:not(:empty)")
    until_mood(page, "idle")
    check_words_follow_the_voice(page.evaluate("probe.words"))
    until(page, "document.querySelector('#caption').textContent === ''")
    until(page, "document.querySelector('.turn.reply .rest').textContent === ''")
    assert page.locator(".turn.person").all_text_contents() == ["What is it?"]
    assert page.locator(".turn.reply > span").first.text_content() == " ".join(WORDS)
    assert mock.types() == ["session.update", "conversation.item.create", "response.create"]
    check_face_follows_the_sound(page.evaluate("probe.shown"))


def check_words_follow_the_voice(read: list[dict]) -> None:
    """Caption and history stand at the word that is heard, within one."""
    assert len(read) >= 4
    for each in read[1:]:  # the first may be read before the page's own turn
        said, rest = each["said"].split(), each["rest"].split()
        assert said + rest == WORDS
        due = each["seconds"] * FRAME_HZ / N_FRAMES * len(WORDS)
        assert due - 1 <= len(said) <= due + 1


def check_face_follows_the_sound(shown: list[dict]) -> None:
    """The frame that the head showed is the one of the sample that was heard, within one."""
    during = [s for s in shown if s["playedS"] is not None and 0 <= s["playedS"] < (N_FRAMES - 1) / FRAME_HZ]
    assert len(during) >= 4
    late_frames = np.array([s["ramp"] * N_FRAMES - s["playedS"] * FRAME_HZ for s in during])
    assert np.abs(late_frames).max() <= 1
    assert all(s["jaw"] == pytest.approx(0.3, abs=1e-3) for s in during)


def test_pictures_move_with_the_weights(open_page):
    page = open_page()
    moved = page.evaluate("""() => {
      const head = exomni.stage.head;
      const heights = (weight) => {
        const face = new Float32Array(52);
        face[24] = weight;
        head.show(face, {yaw: 0, pitch: 0, roll: 0, lift: 0});
        let mesh;
        head.root.traverse((node) => { if (node.isMesh) mesh = node; });
        return Array.from(mesh.geometry.getAttribute("position").array).filter((_, i) => i % 3 === 2);
      };
      const rest = heights(0), half = heights(0.5);
      return half.map((z, i) => z - rest[i]);
    }""")
    patch = np.zeros(144)
    patch[48::7] = 0.01
    np.testing.assert_allclose(moved, patch, atol=1e-6)


def test_the_woman_has_skin_hair_and_a_shirt(open_page):
    page = open_page()
    drop(page, "woman.glb", (Path(serve.__file__).parent / "web" / "heads" / "woman.glb").read_bytes())
    pixels = np.array(page.evaluate(PICTURE)).reshape(-1, 4)
    red, green, blue = pixels[pixels[:, 3] == 255, :3].T
    assert 0.1 < np.mean(pixels[:, 3] == 255) < 0.95  # the page's own background is behind her
    assert np.mean((red > 140) & (red > green + 8) & (green > blue)) > 0.15  # skin, well lit
    assert np.mean((red < 110) & (red >= blue)) > 0.1  # brown hair
    assert np.mean((blue > red + 10) & (green > red)) > 0.05  # a blue shirt


def test_a_head_without_normals_or_colours_is_lit(open_page):
    pixels = np.array(open_page().evaluate(PICTURE)).reshape(-1, 4)
    seen = pixels[pixels[:, 3] == 255, :3]
    assert len(seen) > 0.1 * len(pixels)
    assert seen.mean() > 120
    assert np.ptp(seen.mean(axis=1)) > 10  # by where it faces


def test_the_head_is_drawn_again_as_soon_as_the_voice_is_heard(open_page):
    """Pictures are few while an answer is being made without a graphics card; whether it still is, no picture tells."""
    page = open_page()
    page.evaluate("exomni.stage.renderer.setAnimationLoop(null)")
    page.evaluate("exomni.stage.working = true")
    ask(page)
    until_heard(page, 0.1)
    assert not page.evaluate("exomni.stage.working")


def test_a_face_at_rest_blinks_breathes_and_looks_around(open_page):
    """Two minutes of nobody saying anything, at 30 pictures a second."""
    seen = open_page().evaluate(
        """(names) => {
      const life = new exomni.life.constructor();
      const pictures = [];
      for (let i = 0; i < 3600; i++) {
        life.update(i / 30, 1 / 30, "idle", null, 0);
        pictures.push([...names.map((k) => life.weights[k]), life.pose.lift, life.pose.yaw]);
      }
      return pictures;
    }""",
        [arkit.INDEX[name] for name in ("eyeBlinkLeft", "eyeLookOutLeft", "eyeLookInLeft", "jawOpen")],
    )
    blink, out, inward, jaw, lift, yaw = np.array(seen).T
    n_blinks = np.count_nonzero(np.diff((blink > 0.5).astype(int)) == 1)
    assert 15 <= n_blinks <= 70  # people: 10 to 30 a minute
    assert np.ptp(lift) > 0.001
    assert np.ptp(yaw) > 0.02
    assert min(out.max(), inward.max()) > 0.1
    assert jaw.max() < 0.05


def test_an_interruption_stops_sound_and_face_at_once(open_page, mock):
    page = open_page()
    mock.linger_s = 60
    for how in ("Escape", "button", "question"):
        took_ms = [WITHIN_MS]
        while min(took_ms) >= WITHIN_MS and len(took_ms) <= TRIES:
            took_ms.append(interrupted(page, mock, how))
        assert min(took_ms) < WITHIN_MS, f"{how}: {took_ms[1:]} ms"
    assert page.locator(".turn.reply.cut").count() >= 3


def interrupted(page, mock: MockServer, how: str) -> float:
    """Interrupts a reply that is being made and heard; returns when sound and face had stopped, in ms."""
    page.evaluate(WATCH, RAMP)
    ask(page)
    until_heard(page, 0.7)
    page.fill("#text", "Something else" if how == "question" else "")
    page.evaluate("""() => {
      probe.shown = []; probe.stops = []; probe.atMs = null;
      for (const type of ["keydown", "click"]) {
        document.addEventListener(type, () => { probe.atMs ??= performance.now(); }, {capture: true});
      }
    }""")
    n_before = len(mock.received)
    {
        "Escape": lambda: page.keyboard.press("Escape"),
        "button": lambda: page.click("#stop", force=True),
        "question": lambda: page.press("#text", "Enter"),
    }[how]()
    until(page, "probe.shown.filter((s) => s.atMs > probe.atMs + 300).length > 0")
    probe = page.evaluate("probe")
    heard_ms = check_what_the_server_is_told(mock.received[n_before:])
    assert 700 <= heard_ms < 700 + 5000
    quiet_ms = max(stop["atMs"] + stop["inS"] * 1000 for stop in probe["stops"]) - probe["atMs"]
    moved = [s for s in probe["shown"] if s["ramp"] > 0.05 and s["atMs"] < probe["atMs"] + 300]
    open_ms = [s["atMs"] - probe["atMs"] for s in moved]
    page.keyboard.press("Escape")
    until_mood(page, "idle")
    return max(quiet_ms, *open_ms, 0)


def check_what_the_server_is_told(events: list[dict]) -> int:
    """A cancelling, then how much was heard; returns that in ms."""
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.cancel", "conversation.item.truncate"]
    return events[1]["audio_end_ms"]


def test_speaking_over_a_reply_hands_free(open_page, mock):
    page = open_page()
    mock.linger_s = 60
    ask(page)
    until_heard(page, 0.5)
    page.click("#free", force=True)
    until_mood(page, "listening")
    assert page.evaluate("probe.stops.length") > 0
    assert page.evaluate("exomni.conversation.now()") is None
    until(page, "exomni.life.weights[2] > 0.1")  # the brows of somebody who listens
    page.click("#free", force=True)
    truncated = [event for event in mock.received if event["type"] == "conversation.item.truncate"]
    assert len(truncated) == 1
    assert truncated[0]["audio_end_ms"] >= 500
    modes = [event["session"]["audio"]["input"] for event in mock.received if event["type"] == "session.update"]
    assert [bool(mode["turn_detection"]) for mode in modes] == [False, True, False]


def test_push_to_talk_sends_the_microphone(open_page, mock):
    page = open_page()
    page.locator("#log").focus()
    page.keyboard.down("Space")
    until_mood(page, "listening")
    until(page, "document.querySelector('#hold').style.getPropertyValue('--level') > 0.2")
    page.wait_for_timeout(1500)
    page.keyboard.up("Space")
    page.wait_for_selector(".turn.reply")
    assert mock.types()[1:] == ["input_audio_buffer.commit", "response.create"]
    assert page.locator(".turn.person").text_content() == "What did I say?"
    heard = np.concatenate(mock.heard)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    loudest_hz = spectrum.argmax() * SAMPLE_HZ / len(heard)
    assert len(heard) > SAMPLE_HZ
    assert loudest_hz / VOICE_HZ == pytest.approx(round(loudest_hz / VOICE_HZ), abs=0.03)


def test_replay_plays_voice_and_face_again_and_asks_nothing(open_page, mock):
    page = open_page()
    ask(page)
    page.wait_for_selector(".turn.reply .actions:not([hidden])")
    until_mood(page, "idle")
    n_events = len(mock.received)
    page.evaluate("probe.starts = []")
    page.evaluate(WATCH, RAMP)
    page.click("text=Replay")
    until_mood(page, "speaking")
    until(page, "document.querySelector('#caption').textContent.startsWith('This is')")
    until_mood(page, "idle")
    check_face_follows_the_sound(page.evaluate("probe.shown"))
    assert len(mock.received) == n_events


def test_a_reply_is_offered_in_every_format_of_the_server(open_page):
    page = open_page()
    ask(page)
    page.click("text=Download")
    links = page.locator(".formats a")
    links.first.wait_for()
    assert links.all_text_contents() == ["glb a head", "srt captions"]
    with page.expect_download() as download:
        links.nth(1).click()
    assert download.value.suggested_filename == "reply.srt"
    assert re.search(r"/v1/exports/resp_\d+/srt$", download.value.url)


def drop(page, name: str, data: bytes) -> str:
    """Drops a file on the page; returns what is said of it."""
    page.evaluate(DROP, [name, base64.b64encode(data).decode()])
    return until_report(page, name)


def test_a_dropped_head_is_shown_and_what_it_lacks_is_listed(open_page):
    page = open_page()
    page.click("#heads-button")
    names = [re.sub("Left$", "_L", re.sub("Right$", "_R", name)) for name in arkit.NAMES if name != "tongueOut"]
    assert drop(page, "mine.glb", tiny_head(names)) == "mine.glb: 51 of the 52 shapes; missing: tongueOut"
    assert page.locator("input[value=own]").is_checked()
    assert page.evaluate("exomni.stage.head.missing") == ["tongueOut"]
    assert "could not be read" in drop(page, "broken.glb", b"glTF is not this")
    assert "No mesh in this file has ARKit's shapes" in drop(page, "other.glb", tiny_head(["A", "B"]))
    assert page.evaluate("exomni.stage.head.missing") == ["tongueOut"]


def test_a_head_whose_textures_cannot_be_read_is_shown_plain(open_page):
    page = open_page()
    said = drop(page, "packed.glb", tiny_head(arkit.NAMES, has_ktx2=True))
    assert said == "packed.glb: all 52 shapes; without its KTX2 textures"


def test_a_vrm_with_perfect_sync_follows_its_expressions(open_page):
    page = open_page()
    strange = [f"Fcl_{i}" for i in range(arkit.K)]
    pascal = [name[0].upper() + name[1:] for name in arkit.NAMES]
    for name, extension in (("one.vrm", vrm1(arkit.NAMES)), ("zero.vrm", vrm0(pascal))):
        assert drop(page, name, tiny_head(strange, extension)) == f"{name}: all 52 shapes"
        deepest = page.evaluate("""() => {
          const face = new Float32Array(52);
          face[24] = 1;
          exomni.stage.head.show(face, {yaw: 0, pitch: 0, roll: 0, lift: 0});
          let mesh;
          exomni.stage.head.root.traverse((node) => { if (node.isMesh) mesh = node; });
          const rest = [...mesh.geometry.getAttribute("position").array];
          exomni.stage.head.show(face.fill(0), {yaw: 0, pitch: 0, roll: 0, lift: 0});
          return Math.max(...mesh.geometry.getAttribute("position").array.map((z, i) => rest[i] - z));
        }""")
        assert deepest == pytest.approx(MOVE_M / 2, abs=1e-6)


def test_sliders_reach_the_server_and_the_face(open_page, mock):
    page = open_page()
    page.click("#mood-button")
    page.locator("input[name=joy]").fill("0.8")
    page.locator("#speed").fill("1.2")
    smile = arkit.INDEX["mouthSmileLeft"]
    until(page, f"exomni.life.weights[{smile}] > 0.4")
    page.wait_for_timeout(400)
    page.check("#emotion-auto")
    page.wait_for_timeout(400)
    sent = [event["session"]["exomni"] for event in mock.received if event["type"] == "session.update"][1:]
    neutral = dict.fromkeys(("sadness", "anger", "fear", "disgust"), 0)
    assert {"joy": 0.8} | neutral in [options.get("emotion") for options in sent]
    assert 1.2 in [options.get("speed") for options in sent]
    assert sent[-1] == {"emotion": None}


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390), (820, 1180), (1280, 800)])
def test_it_fits_phones_and_tablets_either_way(open_page, width, height):
    page = open_page(width, height)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    stage = page.locator("#stage").bounding_box()
    for place in ("#view", "#composer", "#hold", "#free", "#send", "#heads-button", "#theme-button"):
        box = page.locator(place).bounding_box()
        within = stage if place.endswith("-button") else {"x": 0, "y": 0, "width": width, "height": height}
        assert box["x"] >= within["x"]
        assert box["x"] + box["width"] <= within["x"] + within["width"]
        assert box["y"] + box["height"] <= within["y"] + within["height"]


def test_every_control_has_a_name(open_page):
    page = open_page()
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, input, textarea, canvas")].filter((each) =>
      !(each.getAttribute("aria-label") || each.textContent.trim() || each.closest("label")?.textContent.trim())
    ).map((each) => each.outerHTML)""")
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


def test_light_and_dark_as_the_system_has_it_until_somebody_chooses(open_page):
    page = open_page(color_scheme="dark")

    def is_light() -> bool:
        colour = "getComputedStyle(document.querySelector('#chat')).backgroundColor"
        return int(re.search(r"\d+", page.evaluate(colour))[0]) > 128

    assert not is_light()
    page.emulate_media(color_scheme="light")
    assert is_light()
    page.click("#theme-button")
    assert not is_light()
    page.reload()
    assert not is_light()
