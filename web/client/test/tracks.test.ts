import { describe, expect, it } from "vitest";
import { ARKIT_INDEX, CaptionTrack, FaceTrack, K } from "../src/index.js";

const JAW = ARKIT_INDEX.jawOpen;

function frames(...jaw: number[]): Float32Array {
  const out = new Float32Array(jaw.length * K);
  jaw.forEach((value, i) => (out[i * K + JAW] = value));
  return out;
}

function jawAt(track: FaceTrack, seconds: number): number {
  const out = new Float32Array(K);
  expect(track.at(seconds, out)).toBe(true);
  return out[JAW]!;
}

describe("FaceTrack", () => {
  it("has no face before the first frame", () => {
    expect(new FaceTrack().at(0, new Float32Array(K))).toBe(false);
  });

  it("stands between two frames as the time does", () => {
    const track = new FaceTrack();
    track.put(0, frames(0, 0.6, 0.3), 30);
    expect(jawAt(track, 0)).toBe(0);
    expect(jawAt(track, 1 / 60)).toBeCloseTo(0.3);
    expect(jawAt(track, 1 / 30)).toBeCloseTo(0.6);
    expect(jawAt(track, 1.5 / 30)).toBeCloseTo(0.45);
  });

  it("keeps the last frame after its end and the first before its beginning", () => {
    const track = new FaceTrack();
    track.put(0, frames(0.1, 0.4), 30);
    expect(jawAt(track, 9)).toBeCloseTo(0.4);
    expect(jawAt(track, -1)).toBeCloseTo(0.1);
  });

  it("goes by the frame's number, not by the order of coming", () => {
    const track = new FaceTrack();
    track.put(0, frames(0.2), 30);
    track.put(100, frames(0.8), 30);
    track.put(1, frames(0.5), 30);
    expect(track.length).toBe(101);
    expect(jawAt(track, 1 / 30)).toBeCloseTo(0.5);
    expect(jawAt(track, 50 / 30)).toBeCloseTo(0.2);
    expect(jawAt(track, 100 / 30)).toBeCloseTo(0.8);
  });

  it("follows its own rate", () => {
    const track = new FaceTrack();
    track.put(0, frames(0, 1), 60);
    expect(jawAt(track, 1 / 120)).toBeCloseTo(0.5);
  });
});

describe("CaptionTrack", () => {
  const word = (text: string, start_sample: number, end_sample: number) => ({ text, start_sample, end_sample });
  const track = new CaptionTrack();
  track.add([word("Well,", 1_000, 5_000), word("hello", 5_000, 9_000), word("there.", 9_000, 14_000)]);
  track.add([word("How", 20_000, 24_000), word("nice!", 24_000, 30_000)]);

  it.each([
    [0, null],
    [1_000, { said: "Well,", rest: "hello there." }],
    [8_999, { said: "Well, hello", rest: "there." }],
    [19_000, { said: "Well, hello there.", rest: "" }],
    [20_000, { said: "How", rest: "nice!" }],
    [99_000, { said: "How nice!", rest: "" }],
  ])("at sample %d", (sample, caption) => expect(track.at(sample)).toEqual(caption));

  it("finds the words in the text as it is written", () => {
    const text = "Well,  hello —there.\nHow nice!";
    expect(text.slice(0, track.charactersSaid(text, 0))).toBe("");
    expect(text.slice(0, track.charactersSaid(text, 9_000))).toBe("Well,  hello —there.");
    expect(text.slice(0, track.charactersSaid(text, 99_000))).toBe(text);
  });
});
