/** Numbers as they travel: base64, PCM16, faces as float32 or uint8. */

import { ARKIT_INDEX, canonicalName, K } from "./arkit.js";

export type FaceEncoding = "float32" | "uint8";

/** Bytes of a base64 text. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Base64 of bytes. */
export function toBase64(bytes: Uint8Array): string {
  const piece = 0x8000; // what String.fromCharCode takes as arguments at once
  let binary = "";
  for (let i = 0; i < bytes.length; i += piece) binary += String.fromCharCode(...bytes.subarray(i, i + piece));
  return btoa(binary);
}

/** PCM16 of an audio delta. */
export function decodePcm16(text: string): Int16Array<ArrayBuffer> {
  const bytes = fromBase64(text);
  if (bytes.length % 2) throw new RangeError(`PCM16 in ${bytes.length} bytes: a sample is cut in half`);
  return new Int16Array(bytes.buffer);
}

/** Base64 of PCM16. */
export function encodePcm16(samples: Int16Array): string {
  return toBase64(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength));
}

/** Samples in -1..1 of PCM16. */
export function pcm16ToFloat(samples: Int16Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(samples.length);
  for (let i = 0; i < samples.length; i++) out[i] = samples[i]! / 32768;
  return out;
}

/**
 * Frames of a face delta, [N * 52] in 0..1 in the project's order.
 *
 * @param names columns of the frames, where they are other than the project's order; strange names are left out.
 */
export function decodeFrames(
  text: string, encoding: FaceEncoding, names?: readonly string[],
): Float32Array<ArrayBuffer> {
  const bytes = fromBase64(text);
  const width = names?.length ?? K;
  const valueBytes = encoding === "float32" ? 4 : 1;
  if (bytes.length % (width * valueBytes)) {
    throw new RangeError(`${bytes.length} bytes are no whole number of frames of ${width} ${encoding} values`);
  }
  const values = encoding === "float32" ? new Float32Array(bytes.buffer) : Float32Array.from(bytes, (v) => v / 255);
  return names ? reorder(values, names) : values;
}

function reorder(values: Float32Array, names: readonly string[]): Float32Array<ArrayBuffer> {
  const count = values.length / names.length;
  const out = new Float32Array(count * K);
  names.forEach((spelled, column) => {
    const name = canonicalName(spelled);
    if (name === null) return;
    for (let frame = 0; frame < count; frame++) {
      out[frame * K + ARKIT_INDEX[name]] = values[frame * names.length + column]!;
    }
  });
  return out;
}
