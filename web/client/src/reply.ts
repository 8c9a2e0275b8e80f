/** One reply: its words, voice and face as they came, and when. */

import { CaptionTrack } from "./captions.js";
import { decodeFrames, decodePcm16 } from "./codec.js";
import { FaceTrack } from "./face.js";
import { type CaptionDelta, type FaceDelta, type ResponseStatus, SAMPLE_HZ } from "./protocol.js";

/** Milliseconds since the request; null until it happened. */
export interface ReplyTimings {
  text: number | null;
  face: number | null;
  audio: number | null;
  /** The first sample was heard. */
  sound: number | null;
  done: number | null;
}

export class Reply {
  itemId: string | null = null;
  text = "";
  status: ResponseStatus = "in_progress";
  readonly face = new FaceTrack();
  readonly captions = new CaptionTrack();
  readonly timings: ReplyTimings = { text: null, face: null, audio: null, sound: null, done: null };
  /** Where the listener cut it off, in samples; null where nobody did. */
  cutSample: number | null = null;
  /** Why it failed. */
  failure: string | null = null;
  #audio: Int16Array<ArrayBuffer>[] = [];
  #samples = 0;
  #names: readonly string[] | undefined;

  /**
   * @param requestedMs when it was asked for, on the page's clock (`performance.now`).
   */
  constructor(readonly id: string, readonly requestedMs: number) {}

  /** Length of the speech so far. */
  get samples(): number {
    return this.#samples;
  }

  get seconds(): number {
    return this.#samples / SAMPLE_HZ;
  }

  /** The speech so far, piece by piece. */
  get audio(): readonly Int16Array<ArrayBuffer>[] {
    return this.#audio;
  }

  /** Whether its voice and face are still here to be played again. */
  get canReplay(): boolean {
    return this.#audio.length > 0;
  }

  addText(delta: string): void {
    this.mark("text");
    this.text += delta;
  }

  addFace(delta: FaceDelta): void {
    this.mark("face");
    this.#names = delta.names ?? this.#names;
    this.face.put(delta.start_frame, decodeFrames(delta.frames, delta.encoding, this.#names), delta.fps);
  }

  addCaption(delta: CaptionDelta): void {
    this.captions.add(delta.words);
  }

  /** Keeps a piece of the speech; returns it and where it begins. */
  addAudio(delta: string): { samples: Int16Array<ArrayBuffer>; startSample: number } {
    this.mark("audio");
    const samples = decodePcm16(delta);
    const startSample = this.#samples;
    this.#audio.push(samples);
    this.#samples += samples.length;
    return { samples, startSample };
  }

  /** Notes the first time that something happens, now or at a time of the page's clock. */
  mark(what: keyof ReplyTimings, atMs = performance.now()): void {
    this.timings[what] ??= atMs - this.requestedMs;
  }

  /** Lets go of the voice, to keep a long conversation small. */
  forget(): void {
    this.#audio = [];
  }
}
