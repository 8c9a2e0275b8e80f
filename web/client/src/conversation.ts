/** A conversation with the server: what is said, heard and shown, and who may speak. */

import { encodePcm16, pcm16ToFloat } from "./codec.js";
import { Connection, type ConnectionState } from "./connection.js";
import { Emitter } from "./emitter.js";
import { Microphone } from "./microphone.js";
import { Playback, Speaker } from "./player.js";
import { type FaceOptions, SAMPLE_HZ, type ServerEvent, type SessionPatch } from "./protocol.js";
import { Reply } from "./reply.js";

/** Replies whose voice is kept for playing again. */
const KEPT_REPLIES = 12;
/** After push-to-talk the microphone stays ready for so long: opening it takes longer than a first word. */
const MICROPHONE_STAYS_MS = 30_000;
/** The shortest turn of speech that is worth an answer. */
const SHORTEST_TURN_SAMPLES = 0.2 * SAMPLE_HZ;

export type Mood = "idle" | "listening" | "thinking" | "speaking";

interface ConversationEvents {
  connection: { state: ConnectionState; retryS: number | null };
  /** A person's turn; `text` is null until the server has written down what was said, or for good if it cannot. */
  person: { id: string; text: string | null };
  /** A reply begins. */
  reply: Reply;
  /** A reply changed: more text, its end, or that it was cut off. */
  change: Reply;
  /** The person's voice was noticed or has ended. */
  voice: { speaking: boolean };
  /** Loudness of the microphone, root mean square in 0..1. */
  level: number;
  error: { message: string; code: string | null };
}

export interface Moment {
  reply: Reply;
  /** Of the reply's speech, as heard now. */
  sample: number;
  seconds: number;
  /** Loudness of the voice. */
  level: number;
}

export class Conversation extends Emitter<ConversationEvents> {
  readonly speaker = new Speaker();
  readonly microphone = new Microphone();
  readonly replies = new Map<string, Reply>();
  readonly #connection: Connection;
  #settings: SessionPatch = { type: "realtime", audio: { input: { turn_detection: null } }, exomni: {} };
  #playback: Playback | null = null;
  #playing: Reply | null = null;
  #pending: Reply | null = null;
  #asked = false;
  #requestedMs = 0;
  #personSpeaks = false;
  #input: "off" | "held" | "free" = "off";
  #heldSamples = 0;
  #closing: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param url of the server's `/v1/realtime`, `ws:` or `wss:`, with `?model=` and, where it asks for one, `&token=`.
   */
  constructor(url: string) {
    super();
    this.#connection = new Connection(url);
    this.#connection.on("state", (state) => this.#connected(state));
    this.#connection.on("event", (event) => this.#receive(event));
    this.microphone.on("samples", (samples) => this.#hear(samples));
    this.microphone.on("level", (level) => this.emit("level", this.#input === "off" ? 0 : level));
  }

  connect(): void {
    this.#connection.open();
  }

  async close(): Promise<void> {
    this.#silence();
    this.#connection.close();
    await this.microphone.close();
    await this.speaker.close();
  }

  /** Changes our own options for the replies to come. */
  configure(options: FaceOptions): void {
    this.#settings.exomni = { ...this.#settings.exomni, ...options };
    this.#connection.send({ type: "session.update", session: { exomni: options } });
  }

  /** Asks in writing; what is being said stops. Returns false without a connection. */
  say(text: string): boolean {
    if (!this.#connection.isOpen) return false;
    void this.speaker.unlock();
    this.interrupt();
    const id = `item_${crypto.getRandomValues(new Uint32Array(3)).join("")}`;
    this.#connection.send({
      type: "conversation.item.create",
      item: { id, type: "message", role: "user", content: [{ type: "input_text", text }] },
    });
    this.emit("person", { id, text });
    this.#ask();
    return true;
  }

  /** Push-to-talk: listens until `release`. */
  async hold(): Promise<void> {
    if (this.#input !== "off" || !this.#connection.isOpen) return;
    void this.speaker.unlock();
    this.interrupt();
    clearTimeout(this.#closing);
    this.#input = "held";
    this.#heldSamples = 0;
    this.#setVoice(true);
    try {
      await this.microphone.open();
    } catch (error) {
      this.#input = "off";
      this.#setVoice(false);
      throw error;
    }
  }

  /** Ends push-to-talk; what was heard is answered. Returns false where it was too short to mean anything. */
  release(): boolean {
    if (this.#input !== "held") return true;
    this.#input = "off";
    this.#closing = setTimeout(() => void this.microphone.close(), MICROPHONE_STAYS_MS);
    this.#setVoice(false);
    this.emit("level", 0);
    if (this.#heldSamples < SHORTEST_TURN_SAMPLES) {
      this.#connection.send({ type: "input_audio_buffer.clear" });
      return false;
    }
    this.#connection.send({ type: "input_audio_buffer.commit" });
    this.#ask();
    return true;
  }

  /** Hands-free: the server notices when the person begins and ends. */
  async handsFree(on: boolean): Promise<void> {
    clearTimeout(this.#closing);
    if (on) {
      void this.speaker.unlock();
      await this.microphone.open();
    } else {
      await this.microphone.close();
    }
    this.#input = on ? "free" : "off";
    if (!on) this.#setVoice(false);
    const input = { turn_detection: on ? ({ type: "server_vad" } as const) : null };
    this.#settings.audio = { input };
    this.#connection.send({ type: "input_audio_buffer.clear" });
    this.#connection.send({ type: "session.update", session: { audio: { input } } });
  }

  get isHandsFree(): boolean {
    return this.#input === "free";
  }

  /** Stops generation, voice and face at once and tells the server how much was heard. */
  interrupt(): void {
    if (this.#pending) this.#connection.send({ type: "response.cancel", response_id: this.#pending.id });
    else if (this.#asked) this.#connection.send({ type: "response.cancel" });
    this.#silence();
  }

  /** Plays a reply again from its beginning. */
  replay(reply: Reply): void {
    if (!reply.canReplay) return;
    void this.speaker.unlock();
    this.interrupt();
    this.#playing = reply;
    this.#playback = new Playback(this.speaker, true);
    let startSample = 0;
    for (const samples of reply.audio) {
      this.#playback.append(pcm16ToFloat(samples), startSample);
      startSample += samples.length;
    }
    this.#playback.complete();
  }

  /** What is heard now; null where nothing is. */
  now(): Moment | null {
    const playback = this.#playback;
    const reply = this.#playing;
    if (!playback || !reply || !playback.begun || playback.over) return null;
    reply.mark("sound", performance.now() - playback.heardForS * 1000);
    const sample = playback.heardSample;
    return { reply, sample, seconds: sample / SAMPLE_HZ, level: playback.level };
  }

  get mood(): Mood {
    if (this.#personSpeaks) return "listening";
    if (this.#playback?.begun && !this.#playback.over) return "speaking";
    return this.#asked || this.#pending ? "thinking" : "idle";
  }

  #connected(state: ConversationEvents["connection"]): void {
    if (state.state === "open") {
      this.#connection.send({ type: "session.update", session: this.#settings });
    } else if (state.state !== "connecting") {
      this.#silence();
      this.#setVoice(false);
      if (this.#input === "held") this.#input = "off";
    }
    this.emit("connection", state);
  }

  #ask(): void {
    this.#asked = true;
    this.#requestedMs = performance.now();
    this.#connection.send({ type: "response.create" });
  }

  #hear(samples: Int16Array<ArrayBuffer>): void {
    if (this.#input === "off") return;
    this.#heldSamples += samples.length;
    this.#connection.send({ type: "input_audio_buffer.append", audio: encodePcm16(samples) });
  }

  #setVoice(speaking: boolean): void {
    if (this.#personSpeaks === speaking) return;
    this.#personSpeaks = speaking;
    this.emit("voice", { speaking });
  }

  /** Ends voice and face here, and has the server keep only what was heard. */
  #silence(): void {
    const reply = this.#playing;
    const playback = this.#playback;
    const pending = this.#pending;
    this.#playback = this.#playing = this.#pending = null;
    this.#asked = false;
    if (pending && pending !== reply) this.#cut(pending, 0);
    if (!reply || !playback || playback.over) return;
    if (playback.begun) reply.mark("sound", performance.now() - playback.heardForS * 1000);
    const heard = playback.stop();
    // A reply that is played again was heard before: what the server remembers of it stays.
    if (!playback.again) this.#cut(reply, heard);
  }

  #cut(reply: Reply, heard: number): void {
    reply.cutSample = heard;
    if (reply.itemId !== null) {
      const audioEndMs = Math.floor((heard / SAMPLE_HZ) * 1000);
      this.#connection.send({
        type: "conversation.item.truncate",
        item_id: reply.itemId,
        content_index: 0,
        audio_end_ms: audioEndMs,
      });
    }
    this.emit("change", reply);
  }

  #receive(event: ServerEvent): void {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
        this.#silence();
        return this.#setVoice(true);
      case "input_audio_buffer.speech_stopped":
        this.#asked = true;
        this.#requestedMs = performance.now();
        return this.#setVoice(false);
      case "input_audio_buffer.committed":
        return this.emit("person", { id: event.item_id, text: null });
      case "conversation.item.input_audio_transcription.completed":
        return this.emit("person", { id: event.item_id, text: event.transcript.trim() });
      case "error":
        return this.#fail(event.error.message, event.error.code ?? null);
      case "response.created":
        return this.#begin(event.response.id);
      case "response.done":
        return this.#end(event);
      default:
        if ("response_id" in event) this.#grow(event);
    }
  }

  #fail(message: string, code: string | null): void {
    // A reply may end by itself while its cancelling is on the way.
    if (code === "no_active_response") return;
    this.#asked = false;
    this.emit("error", { message, code });
  }

  #begin(id: string): void {
    const reply = new Reply(id, this.#requestedMs);
    this.replies.set(id, reply);
    this.#pending = reply;
    this.#asked = false;
    const old = [...this.replies.values()].at(-KEPT_REPLIES - 1);
    old?.forget();
    this.emit("reply", reply);
  }

  #grow(event: Extract<ServerEvent, { response_id: string }>): void {
    const reply = this.replies.get(event.response_id);
    if (!reply || reply.cutSample !== null) return;
    reply.itemId = event.item_id;
    switch (event.type) {
      case "exomni.face.delta":
        return reply.addFace(event);
      case "exomni.caption.delta":
        return reply.addCaption(event);
      case "response.output_audio.delta":
        return this.#play(reply, event.delta);
      case "response.output_text.delta":
      case "response.output_audio_transcript.delta":
        reply.addText(event.delta);
        return this.emit("change", reply);
      case "response.output_audio.done":
        if (this.#playing === reply) this.#playback?.complete();
    }
  }

  #play(reply: Reply, delta: string): void {
    const { samples, startSample } = reply.addAudio(delta);
    if (this.#playing !== reply) {
      this.#playback?.stop();
      this.#playing = reply;
      this.#playback = new Playback(this.speaker);
    }
    this.#playback!.append(pcm16ToFloat(samples), startSample);
  }

  #end({ response }: Extract<ServerEvent, { type: "response.created" | "response.done" }>): void {
    const reply = this.replies.get(response.id);
    if (!reply) return;
    reply.status = response.status;
    reply.mark("done");
    if (response.status === "failed") reply.failure = response.status_details?.error?.message ?? "it failed";
    if (this.#pending === reply) this.#pending = null;
    if (this.#playing === reply) this.#playback?.complete();
    this.emit("change", reply);
  }
}
