import { describe, expect, it } from "vitest";
import { ARKIT_INDEX, ARKIT_NAMES, canonicalName, decodeFrames, decodePcm16, encodePcm16, K } from "../src/index.js";
import { Resampler } from "../src/recorder.worklet.js";
import { toBase64 } from "../src/codec.js";
import { SERVER_EVENTS } from "./support.js";

const faces = SERVER_EVENTS.filter((event) => event.type === "exomni.face.delta");

describe("faces of the shared fixtures", () => {
  it("are whole frames in 0..1, in both encodings", () => {
    expect(new Set(faces.map((face) => face.encoding))).toEqual(new Set(["float32", "uint8"]));
    for (const face of faces) {
      const frames = decodeFrames(face.frames, face.encoding, face.names ?? undefined);
      expect(frames.length % K).toBe(0);
      expect(frames.length).toBeGreaterThan(0);
      expect(frames.every((value) => value >= 0 && value <= 1)).toBe(true);
    }
  });

  it("name the columns in the project's order", () => {
    const named = faces.filter((face) => face.names);
    expect(named.length).toBeGreaterThan(0);
    for (const face of named) expect(face.names).toEqual([...ARKIT_NAMES]);
  });
});

describe("decodeFrames", () => {
  const bytes = (values: ArrayLike<number>) => toBase64(Uint8Array.from(values));

  it("reads 255 as 1", () => {
    const values = new Uint8Array(K);
    values[ARKIT_INDEX.jawOpen] = 255;
    values[0] = 51;
    const frames = decodeFrames(bytes(values), "uint8");
    expect(frames[ARKIT_INDEX.jawOpen]).toBe(1);
    expect(frames[0]).toBeCloseTo(0.2);
  });

  it("goes by names, not by columns, and leaves strange ones out", () => {
    const frames = decodeFrames(bytes([255, 51, 0, 0, 102, 255]), "uint8", ["JawOpen", "_neutral", "eyeBlink_L"]);
    expect(frames.length).toBe(2 * K);
    expect(frames[ARKIT_INDEX.jawOpen]).toBe(1);
    expect(frames[K + ARKIT_INDEX.jawOpen]).toBe(0);
    expect(frames[K + ARKIT_INDEX.eyeBlinkLeft]).toBe(1);
    expect(frames.reduce((sum, value) => sum + value)).toBe(2);
  });

  it("refuses a piece of a frame", () => {
    expect(() => decodeFrames(bytes([1, 2, 3]), "uint8")).toThrow(RangeError);
  });
});

describe("PCM16", () => {
  it("comes back as it went", () => {
    const samples = Int16Array.from({ length: 70_000 }, (_, i) => ((i * 7919) % 65_536) - 32_768);
    expect(decodePcm16(encodePcm16(samples))).toEqual(samples);
  });

  it("refuses half a sample", () => {
    expect(() => decodePcm16("AAAA")).toThrow(RangeError);
  });

  it("is little-endian, as the fixtures have it", () => {
    const delta = SERVER_EVENTS.find((event) => event.type === "response.output_audio.delta")!;
    const bytes = Uint8Array.from(atob(delta.delta), (character) => character.charCodeAt(0));
    expect(decodePcm16(delta.delta)[0]).toBe(new DataView(bytes.buffer).getInt16(0, true));
  });
});

describe("canonicalName", () => {
  it.each([
    ["jawOpen", "jawOpen"],
    ["JawOpen", "jawOpen"],
    ["jaw_open", "jawOpen"],
    ["eyeBlink_L", "eyeBlinkLeft"],
    ["eyeBlink.R", "eyeBlinkRight"],
    ["EyeBlinkLeft", "eyeBlinkLeft"],
    ["mouthSmile-R", "mouthSmileRight"],
    ["head.blendShape1.mouthFunnel", "mouthFunnel"],
    ["mesh:browOuterUpLeft", "browOuterUpLeft"],
    ["mouthLeft", "mouthLeft"],
    ["Fcl_MTH_A", null],
    ["_neutral", null],
  ])("%s is %s", (spelled, name) => expect(canonicalName(spelled)).toBe(name));

  it("knows every name in every spelling, each once", () => {
    const spellings = [
      (name: string) => name,
      (name: string) => name[0]!.toUpperCase() + name.slice(1),
      (name: string) => name.replace(/Left$/, "_L").replace(/Right$/, "_R"),
      (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    ];
    for (const spell of spellings) {
      expect(ARKIT_NAMES.map((name) => canonicalName(spell(name)))).toEqual([...ARKIT_NAMES]);
    }
  });
});

describe("Resampler", () => {
  const tone = (hz: number, rate: number, seconds: number) =>
    Float32Array.from({ length: rate * seconds }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rate));
  const resampled = (input: Float32Array, rate: number, block: number) => {
    const resampler = new Resampler(rate, 24_000);
    const out: number[] = [];
    for (let i = 0; i < input.length; i += block) out.push(...resampler.push(input.subarray(i, i + block)));
    return Float32Array.from(out);
  };
  const rms = (values: Float32Array) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);

  it.each([16_000, 24_000, 44_100, 48_000])("keeps a tone from %d Hz", (rate) => {
    const out = resampled(tone(440, rate, 1), rate, 128);
    expect(Math.abs(out.length - 24_000)).toBeLessThan(40);
    const middle = out.subarray(2_000, 20_000);
    // A phase is fitted, since the filter may delay: the rest is error.
    const [sin, cos] = [Math.sin, Math.cos].map((wave) =>
      middle.reduce((sum, v, i) => sum + v * wave((2 * Math.PI * 440 * i) / 24_000), 0) * 2 / middle.length,
    ) as [number, number];
    const error = middle.map((v, i) => {
      const angle = (2 * Math.PI * 440 * i) / 24_000;
      return v - sin * Math.sin(angle) - cos * Math.cos(angle);
    });
    expect(rms(error) / rms(middle)).toBeLessThan(0.01);
  });

  it("does not fold 20 kHz back into the voice", () => {
    expect(rms(resampled(tone(20_000, 48_000, 0.5), 48_000, 128))).toBeLessThan(0.03);
  });

  it("gives the same whatever the blocks", () => {
    const input = tone(1_000, 44_100, 0.2);
    const small = resampled(input, 44_100, 128);
    const large = resampled(input, 44_100, 4_096);
    const both = Math.min(small.length, large.length);
    expect(Math.abs(small.length - large.length)).toBeLessThan(2);
    expect(Math.max(...small.subarray(0, both).map((v, i) => Math.abs(v - large[i]!)))).toBeLessThan(1e-5);
  });
});
