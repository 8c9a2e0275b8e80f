"""A real browser, the committed page, and a server whose answers are known."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from exomni.core import arkit

from .mock_server import MockServer, serving
from .tiny_head import tiny_head

CHROMIUM = Path("/usr/bin/chromium")
VOICE_HZ = 500
FLAGS = (
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
PROBE = """
window.probe = {starts: [], stops: [], shown: [], words: []};
const {start, stop} = AudioBufferSourceNode.prototype;
AudioBufferSourceNode.prototype.start = function (when, ...rest) {
  probe.starts.push({when, context: this.context});
  return start.call(this, when, ...rest);
};
AudioBufferSourceNode.prototype.stop = function (when, ...rest) {
  probe.stops.push({atMs: performance.now(), inS: when - this.context.currentTime});
  return stop.call(this, when, ...rest);
};
"""
"""Sees when sound is told to start and to stop, before the page has any say."""
WATCH = """(ramp) => {
  const head = exomni.stage.head;
  const show = head.show.bind(head);
  head.show = (...face) => {
    show(...face);
    const first = probe.starts[0];
    const clock = first && first.context.currentTime - (first.context.outputLatency || first.context.baseLatency);
    probe.shown.push({
      atMs: performance.now(), playedS: first ? clock - first.when : null,
      ramp: head.rendered(ramp), jaw: head.rendered("jawOpen"),
    });
  };
  const text = (place) => document.querySelector(place)?.textContent ?? "";
  const read = () => {
    const moment = exomni.conversation.now();
    if (moment) {
      const [said, rest] = [text("#caption span"), text(".turn.reply .rest")];
      probe.words.push({said, rest, seconds: moment.seconds});
    }
    requestAnimationFrame(read);
  };
  read();
}"""
"""Notes after each picture what the head shows and where the sound is, and at the screen's rate which words stand."""


@pytest.fixture(scope="session")
def microphone(tmp_path_factory) -> Path:
    """What the browser's microphone hears, over and over: syllables at 500 Hz."""
    times_s = np.arange(48_000 * 4) / 48_000
    syllables = np.clip(np.sin(2 * np.pi * 3 * times_s), 0, 1) * (times_s < 3)
    voice = sum(np.sin(2 * np.pi * VOICE_HZ * n * times_s) / n for n in (1, 2, 3))
    path = tmp_path_factory.mktemp("microphone") / "voice.wav"
    soundfile.write(path, 0.35 * syllables * voice, 48_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="package")  # no longer: its event loop would be in the way of other tests' own
def browser(microphone) -> Iterator:
    """Debian's Chromium, without a screen and without a graphics card."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def mock() -> Iterator[MockServer]:
    """A server of the test's own."""
    with serving(tiny_head(arkit.NAMES)) as server:
        yield server


@pytest.fixture
def open_page(browser, mock) -> Iterator[Callable]:
    """Opens the page and waits for its head; at the end nothing may have gone wrong in it."""
    troubles: list[str] = []
    contexts = []

    def open_it(width: int = 640, height: int = 420, **options: object):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.add_init_script(PROBE)
        page.goto(mock.url)
        page.wait_for_selector("#view.ready")
        page.wait_for_selector("#connection[data-state=open]")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not troubles
