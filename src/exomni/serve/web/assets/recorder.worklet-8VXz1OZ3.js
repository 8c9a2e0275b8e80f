/** Runs on the audio thread: microphone samples at any rate become PCM16 at 24 kHz, 40 ms at a time. */

const OUT_HZ = 24000;
const CHUNK_SAMPLES = 960;
/** Half-width of the filter, in samples of the lower rate. */
const HALF_WIDTH = 8;

/** Resamples a stream with a windowed sinc, which keeps what lies above half of the lower rate from folding back. */
export class Resampler {
  /**
   * @param {number} fromHz
   * @param {number} toHz
   */
  constructor(fromHz, toHz) {
    this.step = fromHz / toHz;
    this.cutoff = Math.min(1, toHz / fromHz);
    this.half = Math.ceil(HALF_WIDTH / this.cutoff);
    /** @type {Float32Array} input that later output still needs */
    this.kept = new Float32Array(this.half);
    this.place = this.half;
  }

  /**
   * @param {Float32Array} input
   * @returns {Float32Array<ArrayBuffer>} all output that the input so far allows
   */
  push(input) {
    const all = new Float32Array(this.kept.length + input.length);
    all.set(this.kept);
    all.set(input, this.kept.length);
    const count = Math.max(0, Math.ceil((all.length - this.half - this.place) / this.step));
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) out[i] = this.at(all, this.place + i * this.step);
    this.place += count * this.step;
    const spent = Math.max(0, Math.floor(this.place) - this.half);
    this.kept = all.slice(spent);
    this.place -= spent;
    return out;
  }

  /**
   * @param {Float32Array} samples
   * @param {number} place
   */
  at(samples, place) {
    const first = Math.ceil(place - this.half);
    const last = Math.min(Math.floor(place + this.half), samples.length - 1);
    let sum = 0;
    for (let i = Math.max(first, 0); i <= last; i++) {
      const x = place - i;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / this.half);
      const angle = Math.PI * x * this.cutoff;
      sum += samples[i] * window * this.cutoff * (x === 0 ? 1 : Math.sin(angle) / angle);
    }
    return sum;
  }
}

if (typeof registerProcessor === "function") {
  registerProcessor(
    "exomni-recorder",
    class extends AudioWorkletProcessor {
      constructor() {
        super();
        this.resampler = new Resampler(sampleRate, OUT_HZ);
        this.chunk = new Int16Array(CHUNK_SAMPLES);
        this.filled = 0;
        this.energy = 0;
      }

      /** @param {Float32Array[][]} inputs */
      process(inputs) {
        const channel = inputs[0]?.[0];
        if (channel) for (const sample of this.resampler.push(channel)) this.take(sample);
        return true;
      }

      /** @param {number} sample */
      take(sample) {
        const value = Math.max(-1, Math.min(1, sample));
        this.chunk[this.filled++] = Math.round(value * 32767);
        this.energy += value * value;
        if (this.filled < CHUNK_SAMPLES) return;
        const level = Math.sqrt(this.energy / CHUNK_SAMPLES);
        this.port.postMessage({ samples: this.chunk, level }, [this.chunk.buffer]);
        this.chunk = new Int16Array(CHUNK_SAMPLES);
        this.filled = 0;
        this.energy = 0;
      }
    },
  );
}
