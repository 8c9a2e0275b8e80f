import { beforeEach, describe, expect, it, vi } from "vitest";
import { Conversation, decodePcm16, type Reply, SAMPLE_HZ } from "../src/index.js";
import { CLIENT_EVENTS, CONVERSATION, FakeAudioContext, FakeSocket, SERVER_EVENTS } from "./support.js";

vi.stubGlobal("WebSocket", FakeSocket);
vi.stubGlobal("AudioContext", FakeAudioContext);

const created = CONVERSATION[0]!;
const delta = CONVERSATION.find((event) => event.type === "response.output_audio.delta")!;
const samplesOfDelta = decodePcm16(delta.delta).length;
const answerUntil = (type: string) =>
  CONVERSATION.slice(
    CONVERSATION.findIndex((event) => event.type === "response.created"),
    CONVERSATION.findIndex((event) => event.type === type),
  );

let conversation: Conversation;
let socket: FakeSocket;
let replies: Reply[];

/** The loudspeaker has played `seconds` more. */
function play(seconds: number): void {
  FakeAudioContext.last.currentTime += seconds;
}

beforeEach(() => {
  conversation = new Conversation("ws://server/v1/realtime?model=nano");
  replies = [];
  conversation.on("reply", (reply) => replies.push(reply));
  conversation.connect();
  socket = FakeSocket.last;
  socket.say(created);
  socket.types();
});

describe("a typed question", () => {
  it("is sent as an item and a request, in the fields that the server's fixtures have", () => {
    expect(conversation.say("Hello?")).toBe(true);
    const fixture = CLIENT_EVENTS.find((event) => event.type === "conversation.item.create")!;
    expect(socket.sent).toEqual([
      { ...fixture, item: { ...fixture.item, id: expect.stringMatching(/^item_\d{1,40}$/) } },
      { type: "response.create" },
    ]);
    expect(conversation.mood).toBe("thinking");
  });

  it("is not taken without a connection", () => {
    socket.lose(1006);
    expect(conversation.say("Hello?")).toBe(false);
  });
});

describe("the fixtures' reply", () => {
  it("becomes words, voice and face", () => {
    conversation.say("Hello?");
    socket.say(...CONVERSATION.slice(1));
    const [reply] = replies as [Reply];
    expect(reply.text).toBe("Hi there.");
    expect(reply.status).toBe("completed");
    expect(reply.samples).toBe(samplesOfDelta);
    expect(reply.face.length).toBe(3);
    expect(reply.captions.words.map((word) => word.text)).toEqual(["Hi", "there."]);
    expect(FakeAudioContext.last.sources).toHaveLength(1);
  });

  it("is timed by what is heard, not by when it came", () => {
    conversation.say("Hello?");
    socket.say(...CONVERSATION.slice(1));
    expect(conversation.now()).toBeNull();
    const source = FakeAudioContext.last.sources[0]!;
    play(source.startS! - FakeAudioContext.last.currentTime + FakeAudioContext.last.outputLatency + 0.05);
    expect(conversation.mood).toBe("speaking");
    expect(conversation.now()!.seconds).toBeCloseTo(0.05);
    expect(conversation.now()!.sample).toBeCloseTo(0.05 * SAMPLE_HZ);
    play(10);
    expect(conversation.now()).toBeNull();
    expect(conversation.mood).toBe("idle");
  });

  it("plays its pieces without a gap, and waits where one is late", () => {
    conversation.say("Hello?");
    socket.say(...answerUntil("response.output_audio.delta"), delta, delta);
    const { sources } = FakeAudioContext.last;
    const lengthS = samplesOfDelta / SAMPLE_HZ;
    expect(sources[1]!.startS! - sources[0]!.startS!).toBeCloseTo(lengthS, 9);
    play(1);
    expect(conversation.now()!.sample).toBe(2 * samplesOfDelta);
    socket.say(delta);
    expect(sources[2]!.startS!).toBeGreaterThan(FakeAudioContext.last.currentTime);
    expect(conversation.now()!.sample).toBe(2 * samplesOfDelta);
    play(sources[2]!.startS! - FakeAudioContext.last.currentTime + 0.02 + lengthS / 2);
    expect(conversation.now()!.sample).toBeCloseTo(2.5 * samplesOfDelta, 3);
  });
});

describe("speaking over a reply", () => {
  const longReply = () => {
    conversation.say("Hello?");
    socket.say(...answerUntil("response.output_audio.delta"), ...Array(30).fill(delta));
    socket.types();
    const source = FakeAudioContext.last.sources.at(-30)!;
    play(source.startS! - FakeAudioContext.last.currentTime + FakeAudioContext.last.outputLatency + 0.25);
    expect(conversation.mood).toBe("speaking");
  };

  it("stops all queued sound at once and says how much was heard", () => {
    longReply();
    const started = SERVER_EVENTS.find((event) => event.type === "input_audio_buffer.speech_started")!;
    socket.say(started);
    const { sources, currentTime, gains } = FakeAudioContext.last;
    expect(sources).toHaveLength(30);
    expect(sources.every((source) => source.stopS! - currentTime <= 0.02)).toBe(true);
    expect(gains[0]!.gain.values.at(-1)![0]).toBe(0);
    expect(conversation.now()).toBeNull();
    expect(conversation.mood).toBe("listening");
    expect(socket.sent).toEqual([
      { type: "conversation.item.truncate", item_id: "item_2", content_index: 0, audio_end_ms: 250 },
    ]);
  });

  it("by a click cancels what is still being made, too", () => {
    longReply();
    conversation.interrupt();
    expect(socket.sent[0]).toEqual({ type: "response.cancel", response_id: "resp_1" });
    expect(socket.sent[1]).toMatchObject({ type: "conversation.item.truncate", audio_end_ms: 250 });
    expect(replies[0]!.cutSample).toBeCloseTo(0.25 * SAMPLE_HZ, 0);
  });

  it("ignores what was still on its way", () => {
    longReply();
    conversation.interrupt();
    const before = FakeAudioContext.last.sources.length;
    socket.say(delta, { ...delta, type: "response.output_audio_transcript.delta", delta: " more" });
    expect(FakeAudioContext.last.sources).toHaveLength(before);
    expect(replies[0]!.text).toBe("Hi there.");
    expect(conversation.now()).toBeNull();
  });

  it("works again and again", () => {
    for (let turn = 0; turn < 5; turn++) {
      longReply();
      conversation.interrupt();
      socket.say({ type: "response.done", event_id: "e", response: { id: "resp_1", status: "cancelled" } });
      expect(socket.types()).toEqual(["response.cancel", "conversation.item.truncate"]);
      expect(conversation.mood).toBe("idle");
    }
  });

  it("after the end of a reply sends nothing", () => {
    conversation.say("Hello?");
    socket.say(...CONVERSATION.slice(1));
    play(60);
    socket.types();
    conversation.interrupt();
    expect(socket.types()).toEqual([]);
  });
});

describe("playing a reply again", () => {
  it("plays the same samples and leaves the server's memory alone", () => {
    conversation.say("Hello?");
    socket.say(...CONVERSATION.slice(1));
    play(60);
    socket.types();
    conversation.replay(replies[0]!);
    play(0.03 + FakeAudioContext.last.outputLatency + 0.01);
    expect(conversation.now()!.reply).toBe(replies[0]);
    expect(conversation.now()!.seconds).toBeCloseTo(0.01);
    conversation.interrupt();
    expect(socket.types()).toEqual([]);
    expect(conversation.now()).toBeNull();
  });
});

describe("the connection", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    return () => vi.useRealTimers();
  });

  it("comes back after a loss, with the settings that were chosen", () => {
    const states: string[] = [];
    conversation.on("connection", ({ state }) => states.push(state));
    conversation.configure({ speed: 1.2 });
    socket.lose(1006);
    vi.advanceTimersByTime(1_100);
    expect(FakeSocket.last).not.toBe(socket);
    FakeSocket.last.say(created);
    expect(states).toEqual(["lost", "connecting", "open"]);
    expect(FakeSocket.last.sent[0]).toMatchObject({ type: "session.update", session: { exomni: { speed: 1.2 } } });
  });

  it("waits as long as a busy server asks", () => {
    const busy = SERVER_EVENTS.find((event) => event.type === "error" && event.error.retry_after)!;
    const opened = FakeSocket.opened;
    socket.say(busy);
    socket.lose(1013);
    vi.advanceTimersByTime(4_900);
    expect(FakeSocket.opened).toBe(opened);
    vi.advanceTimersByTime(200);
    expect(FakeSocket.opened).toBe(opened + 1);
  });

  it("does not come back where it was refused", () => {
    const opened = FakeSocket.opened;
    socket.lose(1008);
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.opened).toBe(opened);
  });

  it("understands or passes over every event that the server may send", () => {
    const errors: string[] = [];
    conversation.on("error", ({ code }) => errors.push(code!));
    socket.say(...SERVER_EVENTS);
    expect(errors).toEqual(["unknown_parameter", "server_busy"]);
    expect(replies[0]!.status).toBe("cancelled");
  });
});
