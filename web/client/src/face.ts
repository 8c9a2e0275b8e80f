/** A reply's face: frames keyed to sample positions of its speech. */

import { K } from "./arkit.js";

export class FaceTrack {
  #frames = new Float32Array(K * 64);
  #count = 0;
  #fps = 30;

  /** Frames that are there. */
  get length(): number {
    return this.#count;
  }

  get fps(): number {
    return this.#fps;
  }

  /** Puts frames [N * 52] at `startFrame`; frames that were skipped hold the last one before them. */
  put(startFrame: number, frames: Float32Array, fps: number): void {
    this.#fps = fps;
    const end = startFrame + frames.length / K;
    this.#grow(end);
    for (let frame = this.#count; frame < startFrame; frame++) {
      if (frame > 0) this.#frames.copyWithin(frame * K, (frame - 1) * K, frame * K);
    }
    this.#frames.set(frames, startFrame * K);
    this.#count = Math.max(this.#count, end);
  }

  /** Frame `index`, [52]. */
  frame(index: number): Float32Array {
    return this.#frames.subarray(index * K, (index + 1) * K);
  }

  /**
   * The face at a time of the speech, between two frames, into `out` [52]; the last frame stays after the end.
   *
   * @returns false where there is no frame yet.
   */
  at(seconds: number, out: Float32Array): boolean {
    if (this.#count === 0) return false;
    const place = Math.min(Math.max(seconds * this.#fps, 0), this.#count - 1);
    const first = Math.floor(place);
    const part = place - first;
    const a = first * K;
    const b = Math.min(first + 1, this.#count - 1) * K;
    for (let k = 0; k < K; k++) {
      out[k] = this.#frames[a + k]! * (1 - part) + this.#frames[b + k]! * part;
    }
    return true;
  }

  #grow(count: number): void {
    if (count * K <= this.#frames.length) return;
    const larger = new Float32Array(Math.max(count * K, this.#frames.length * 2));
    larger.set(this.#frames);
    this.#frames = larger;
  }
}
