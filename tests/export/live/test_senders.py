import json
import socket
import threading
from itertools import islice

import numpy as np
import pytest
from pylivelinkface import FaceBlendShape, PyLiveLinkFace
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage

from exomni.core import arkit
from exomni.core.errors import InputError, ServiceError
from exomni.export.live import live, perform, sender
from exomni.export.live.frames import frames_of
from exomni.export.live.udp import packet
from exomni.export.names import ROTATIONS
from exomni.export.profile import Profile, Shape
from exomni.export.visemes import vowels


class Ear:
    """A UDP socket on the loopback that keeps what it hears."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.port = self.socket.getsockname()[1]

    def heard(self):
        packets = []
        while True:
            try:
                packets.append(self.socket.recv(65536))
            except TimeoutError:
                return packets


class NoClock:
    """Every frame is due when it is there."""

    position = 0.0

    def position_s(self):
        return self.position

    def sleep(self, seconds):
        self.position += seconds


@pytest.fixture
def ear():
    listener = Ear()
    yield listener
    listener.socket.close()


def osc_messages(packets):
    for data in packets:
        for each in OscBundle(data):
            assert isinstance(each, OscMessage)
            yield each.address, each.params


def test_unreal_receives_the_source(track, ear):
    done = live(track, [f"livelink://127.0.0.1:{ear.port}?name=Anna"], clock=NoClock())
    packets = ear.heard()
    assert done.n_sent == track.n_frames
    assert len(packets) == track.n_frames + 3
    for i, data in enumerate(packets):
        assert len(data) == 306 + len("Anna")
        has_face, face = PyLiveLinkFace.decode(data)
        assert has_face
        assert (face.name, face.fps, face._version, face._frames, face._denominator) == (
            "Anna",
            30,
            6,
            i if i < 90 else 90,
            1,
        )
        expected = track.frames[i] if i < track.n_frames else np.zeros(52)
        for shape in FaceBlendShape:
            name = shape.name[:1].lower() + shape.name[1:]
            if name in arkit.INDEX:
                assert face.get_blendshape(shape) == expected[arkit.INDEX[name]], name
        if i < track.n_frames:
            turns = [face.get_blendshape(FaceBlendShape[name]) for name in ROTATIONS]
            np.testing.assert_array_equal(turns, [*track.head[i], *track.eyes[i].ravel()])


def test_the_packet_is_as_the_phone_sends_it(track):
    frame = next(iter(frames_of(track)))
    data = packet(frame, "exomni", "A" * 36)
    assert data[:5] == b"\x06\x00\x00\x00\x24"
    assert data[5:41] == b"A" * 36
    assert data[41:51] == b"\x00\x00\x00\x06exomni"
    assert data[51:67] == b"\0\0\0\0" + b"\0\0\0\0" + b"\0\0\0\x1e" + b"\0\0\0\x01"
    assert data[67] == 61


@pytest.mark.parametrize("names", ["camel", "pascal"])
def test_vmc_programs_receive_the_source(names, track, ear):
    live(track, [f"vmc://127.0.0.1:{ear.port}?names={names}"], clock=NoClock())
    packets = ear.heard()
    assert max(map(len, packets)) <= 1400
    faces, face, bones = [], {}, {}
    for address, params in osc_messages(packets):
        if address == "/VMC/Ext/Blend/Val":
            face[params[0]] = params[1]
        elif address == "/VMC/Ext/Blend/Apply":
            faces.append(face)
            face = {}
        elif address == "/VMC/Ext/Bone/Pos":
            bones.setdefault(params[0], []).append(params[1:])
        else:
            assert address in ("/VMC/Ext/OK", "/VMC/Ext/T")
    assert len(faces) == track.n_frames + 3
    spell = (lambda n: n[:1].upper() + n[1:]) if names == "pascal" else str
    for shown, row in zip(faces, track.frames, strict=False):
        assert shown == {spell(name): value for name, value in zip(arkit.NAMES, row, strict=True)}
    assert not any(faces[-1].values())
    assert set(bones) == {"Head", "LeftEye", "RightEye"}
    np.testing.assert_allclose(np.linalg.norm(np.array(bones["Head"])[:, 3:], axis=1), 1, atol=1e-6)
    yaw = track.head[0, 0]
    one = track.replace(head=track.head * [1, 0, 0])
    live(one, [f"vmc://127.0.0.1:{ear.port}"], clock=NoClock())
    turn = next(p for a, p in osc_messages(ear.heard()) if a == "/VMC/Ext/Bone/Pos" and p[0] == "Head")
    np.testing.assert_allclose(turn[4:], [0, -np.sin(yaw / 2), 0, np.cos(yaw / 2)], atol=1e-6)


@pytest.mark.parametrize(("names", "vowel"), [("vrm0", "A"), ("vrm1", "aa")])
def test_simple_avatars_receive_vowels(names, vowel, track, ear):
    live(track, [f"vmc://127.0.0.1:{ear.port}?names={names}"], clock=NoClock())
    values = [p[1] for a, p in osc_messages(ear.heard()) if a == "/VMC/Ext/Blend/Val" and p[0] == vowel]
    np.testing.assert_allclose(values[: track.n_frames], vowels(track)["aa"], atol=1e-6)


def test_osc_programs_receive_the_source(track, ear):
    live(track, [f"osc://127.0.0.1:{ear.port}?prefix=/face"], clock=NoClock())
    jaw, heads, indices = [], [], []
    for address, params in osc_messages(ear.heard()):
        if address == "/face/jawOpen":
            jaw.append(params[0])
        elif address == "/face/head":
            heads.append(params)
        elif address == "/face/frame":
            indices.append(params[0])
    np.testing.assert_array_equal(jaw, [*track.column("jawOpen"), 0, 0, 0])
    np.testing.assert_array_equal(heads[:90], track.head)
    assert indices == [*range(91), 90, 90]


def test_several_destinations_and_a_profile(track, ear):
    other = Ear()
    urls = [f"livelink://127.0.0.1:{ear.port}", f"osc://127.0.0.1:{other.port}"]
    live(track, urls, profile=Profile(fps=60, shapes={"jawOpen": Shape(mute=True)}), clock=NoClock())
    _, face = PyLiveLinkFace.decode(ear.heard()[100])
    assert face.fps == 60
    assert face.get_blendshape(FaceBlendShape.JawOpen) == 0
    assert len([a for a, _ in osc_messages(other.heard()) if a == "/exomni/jawOpen"]) == 183
    other.socket.close()


def test_real_time_is_kept(track, ear):
    done = live(track.replace(frames=track.frames[:30], head=None, eyes=None), [f"livelink://127.0.0.1:{ear.port}"])
    assert done.n_sent + done.n_skipped == 30
    assert len(ear.heard()) == done.n_sent + 3
    assert done.latest_s < 1 / 30


def test_web_pages_that_connect_receive_the_source(track):
    from websockets.sync.client import connect

    host = sender("ws-serve://127.0.0.1:0")
    with connect(host.address) as page:
        while not host._clients:
            pass
        for frame in frames_of(track):
            host.send(frame)
        got = [json.loads(page.recv(timeout=5)) for _ in range(track.n_frames)]
    host.close()
    assert [each["index"] for each in got] == list(range(90))
    assert got[0]["type"] == "face"
    shown = [[each["weights"][name] for name in arkit.NAMES] for each in got]
    np.testing.assert_allclose(shown, track.frames, atol=1e-5)
    np.testing.assert_allclose([each["eyes"] for each in got], track.eyes, atol=1e-5)


def test_a_websocket_server_receives_the_source(track):
    from websockets.sync.server import serve

    got = []
    server = serve(lambda socket: got.extend(json.loads(text) for text in socket), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    live(track, [f"ws://127.0.0.1:{server.socket.getsockname()[1]}/face"], clock=NoClock())
    server.shutdown()
    thread.join()
    assert len(got) == 93
    assert not any(got[-1]["weights"].values())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://a", "is no destination"),
        ("livelink://", "is no destination"),
        ("livelink://a:b", "a:b"),
        ("livelink://127.0.0.1?nmae=x", "knows name, not nmae"),
        ("livelink://127.0.0.1?name=", "subject's name"),
        ("vmc://127.0.0.1?names=snake", "no names 'snake'"),
        ("osc://127.0.0.1?prefix=face", "beginning of an OSC address"),
        ("livelink://no.such.host.invalid", "no host"),
        ("ws:///x", "ws:///x"),
    ],
)
def test_destinations_that_are_none(url, message, track):
    with pytest.raises(InputError, match=message):
        live(track, [url])


def test_nobody_there(track):
    with pytest.raises(ServiceError, match="nobody answers"):
        sender("ws://127.0.0.1:9/")
    first = sender("ws-serve://127.0.0.1:0")
    with pytest.raises(ServiceError, match="cannot listen"):
        sender(first.address.replace("ws:", "ws-serve:"))
    first.close()
    # UDP does not know whether anybody listens: a receiver may start later.
    live(track.replace(frames=track.frames[:3], head=None, eyes=None), ["livelink://127.0.0.1:9"], clock=NoClock())


def test_faces_of_those_who_connect_go_to_all_others(ear):
    from websockets.sync.client import connect

    host = sender("ws-serve://127.0.0.1:0")
    out = sender(f"livelink://127.0.0.1:{ear.port}")
    done = []
    thread = threading.Thread(target=lambda: done.append(perform(islice(host.faces(), 3), [host, out]).n_sent))
    thread.start()
    with connect(host.address) as page:
        with connect(host.address) as puppeteer:
            while len(host._clients) < 2:
                pass
            puppeteer.send(json.dumps({"type": "face", "weights": {"JawOpen": 0.25}, "head": [0.1, 0, 0], "fps": 60}))
            first = json.loads(page.recv(timeout=5))
            for wrong in (
                "no",
                "[]",
                '{"type": "face", "weights": {"nose": 1}}',
                '{"type": "face", "weights": {"jawOpen": "x"}}',
            ):
                puppeteer.send(wrong)
                assert json.loads(puppeteer.recv(timeout=5))["type"] == "error"
            puppeteer.send(json.dumps({"type": "face", "weights": {"eyeBlink_L": 1}}))
            second = json.loads(page.recv(timeout=5))
        rest = json.loads(page.recv(timeout=5))
        thread.join()
    host.close()
    assert done == [3]
    assert (first["weights"], first["head"], first["fps"], first["index"]) == ({"jawOpen": 0.25}, [0.1, 0, 0], 60, 0)
    assert (second["weights"], second["index"]) == ({"eyeBlinkLeft": 1}, 1)
    assert not any(rest["weights"].values())  # the puppeteer has left
    heard = [PyLiveLinkFace.decode(packet)[1] for packet in ear.heard()]
    assert [face.get_blendshape(FaceBlendShape.JawOpen) for face in heard] == [0.25, 0, 0, 0, 0, 0]
