/** Resamples a stream with a windowed sinc. */
export class Resampler {
  constructor(fromHz: number, toHz: number);
  /** All output that the input so far allows. */
  push(input: Float32Array): Float32Array<ArrayBuffer>;
}
