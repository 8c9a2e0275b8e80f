/** The person's voice: PCM16 at 24 kHz, and how loud it is. */

import { Emitter } from "./emitter.js";

interface MicrophoneEvents {
  /** 40 ms of PCM16, 24 kHz. */
  samples: Int16Array<ArrayBuffer>;
  /** Loudness of these, root mean square in 0..1. */
  level: number;
}

export class Microphone extends Emitter<MicrophoneEvents> {
  #context: AudioContext | null = null;
  #stream: MediaStream | null = null;

  get isOpen(): boolean {
    return this.#stream !== null;
  }

  /**
   * Asks for the microphone and listens.
   *
   * @throws DOMException where the person or the browser says no (NotAllowedError) or there is none (NotFoundError).
   */
  async open(): Promise<void> {
    if (this.#stream) return;
    if (!navigator.mediaDevices) {
      throw new DOMException("Browsers give the microphone to pages on https or localhost alone.", "NotAllowedError");
    }
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    const context = new AudioContext();
    await context.audioWorklet.addModule(new URL("./recorder.worklet.js", import.meta.url));
    const recorder = new AudioWorkletNode(context, "exomni-recorder", { numberOfOutputs: 0 });
    recorder.port.onmessage = ({ data }: MessageEvent<{ samples: Int16Array<ArrayBuffer>; level: number }>) => {
      this.emit("samples", data.samples);
      this.emit("level", data.level);
    };
    context.createMediaStreamSource(stream).connect(recorder);
    this.#stream = stream;
    this.#context = context;
  }

  /** Lets go of the microphone, so that the browser's sign for it goes out. */
  async close(): Promise<void> {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    await this.#context?.close();
    this.#context = null;
    this.emit("level", 0);
  }
}
