/** Plays a reply's speech without gaps and says at every moment which sample is heard. */

import { SAMPLE_HZ } from "./protocol.js";

/** Between the first piece's coming and its sound: what the next piece may be late without a gap. */
const LEAD_S = 0.03;
/** Fade at an interruption, so that it does not click. */
const FADE_S = 0.01;

interface Segment {
  startSample: number;
  samples: number;
  /** On the context's clock. */
  startS: number;
  source: AudioBufferSourceNode;
}

/** The voice's way to the loudspeaker, one for a page. */
export class Speaker {
  #context: AudioContext | null = null;

  /** The audio context; browsers start it only inside of a person's click or key press. */
  get context(): AudioContext {
    // At the speech's own rate pieces join sample by sample: resampling each piece by itself would click.
    this.#context ??= new AudioContext({ sampleRate: SAMPLE_HZ, latencyHint: "interactive" });
    return this.#context;
  }

  /** Lets sound out; to be called when a person clicks or presses a key. */
  async unlock(): Promise<void> {
    if (this.context.state === "suspended") await this.context.resume();
  }

  /** The moment that is heard now, on the context's clock. */
  get heardS(): number {
    return this.context.currentTime - (this.context.outputLatency || this.context.baseLatency || 0);
  }

  async close(): Promise<void> {
    await this.#context?.close();
    this.#context = null;
  }
}

/** One reply being heard. */
export class Playback {
  #segments: Segment[] = [];
  #gain: GainNode;
  #analyser: AnalyserNode;
  #levels: Float32Array<ArrayBuffer>;
  #complete = false;
  #stoppedAt: number | null = null;
  #furthest = 0;

  /**
   * @param again whether the listener has heard it before.
   */
  constructor(readonly speaker: Speaker, readonly again = false) {
    const context = speaker.context;
    this.#gain = context.createGain();
    this.#analyser = context.createAnalyser();
    this.#analyser.fftSize = 512;
    this.#levels = new Float32Array(this.#analyser.fftSize);
    this.#gain.connect(this.#analyser).connect(context.destination);
  }

  /** Queues samples in -1..1 that begin at `startSample` of the reply. */
  append(samples: Float32Array<ArrayBuffer>, startSample: number): void {
    if (this.#stoppedAt !== null || samples.length === 0) return;
    const context = this.speaker.context;
    const buffer = context.createBuffer(1, samples.length, SAMPLE_HZ);
    buffer.copyToChannel(samples, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#gain);
    const last = this.#segments.at(-1);
    const after = last ? last.startS + last.samples / SAMPLE_HZ : 0;
    const soonest = context.currentTime + LEAD_S;
    const startS = last && after >= context.currentTime ? after : soonest;
    source.start(startS);
    this.#segments.push({ startSample, samples: samples.length, startS, source });
  }

  /** No more samples will come. */
  complete(): void {
    this.#complete = true;
  }

  /** The sample that is heard now; it never goes back, and waits where samples are late. */
  get heardSample(): number {
    if (this.#stoppedAt !== null) return this.#stoppedAt;
    const now = this.speaker.heardS;
    let heard = 0;
    for (const { startSample, samples, startS } of this.#segments) {
      if (now < startS) break;
      heard = startSample + Math.min((now - startS) * SAMPLE_HZ, samples);
    }
    this.#furthest = Math.max(this.#furthest, heard);
    return this.#furthest;
  }

  /** How long ago its first sample was heard, in seconds; less than 0 before. */
  get heardForS(): number {
    const first = this.#segments[0];
    return first ? this.speaker.heardS - first.startS : -Infinity;
  }

  /** Whether its first sample has been heard. */
  get begun(): boolean {
    return this.heardForS >= 0;
  }

  /** Whether it was stopped, or all of it has been heard. */
  get over(): boolean {
    if (this.#stoppedAt !== null) return true;
    const last = this.#segments.at(-1);
    return this.#complete && (!last || this.heardSample >= last.startSample + last.samples);
  }

  /** Loudness of what is heard, root mean square in 0..1. */
  get level(): number {
    this.#analyser.getFloatTimeDomainData(this.#levels);
    return Math.sqrt(this.#levels.reduce((sum, v) => sum + v * v, 0) / this.#levels.length);
  }

  /** Ends the sound at once; returns the samples that were heard. */
  stop(): number {
    if (this.#stoppedAt !== null) return this.#stoppedAt;
    this.#stoppedAt = Math.floor(this.heardSample);
    const now = this.speaker.context.currentTime;
    this.#gain.gain.setValueAtTime(1, now);
    this.#gain.gain.linearRampToValueAtTime(0, now + FADE_S);
    for (const { source } of this.#segments) source.stop(now + FADE_S);
    return this.#stoppedAt;
  }
}
