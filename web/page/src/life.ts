/** What a face does by itself: it blinks, breathes, looks around, listens, thinks, and shows its mood. */

import { ARKIT_INDEX, ARKIT_NAMES, type ArkitName, type Emotion, EMOTIONS, K, type Mood } from "exomni-client";
import type { Pose } from "./head";

/** Faces of the emotions at rest, our choice: what a person sees while a slider moves. */
const EXPRESSIONS: Record<keyof Emotion, Partial<Record<ArkitName, number>>> = {
  joy: both({ mouthSmile: 0.75, cheekSquint: 0.5, eyeSquint: 0.28, mouthDimple: 0.15, browOuterUp: 0.15 }),
  sadness: { ...both({ mouthFrown: 0.75, eyeSquint: 0.15 }), browInnerUp: 1, mouthShrugLower: 0.35 },
  anger: both({ browDown: 1, eyeSquint: 0.4, noseSneer: 0.5, mouthPress: 0.5, mouthFrown: 0.35 }),
  fear: { ...both({ eyeWide: 0.9, browOuterUp: 0.35, mouthStretch: 0.6 }), browInnerUp: 1, jawOpen: 0.14 },
  disgust: both({ noseSneer: 0.7, browDown: 0.35, mouthUpperUp: 0.3, eyeSquint: 0.35, mouthFrown: 0.25 }),
};
/** After the voice the mouth is shut in about three times this. */
const CLOSING_S = 0.03;
const BLINK_S = 0.17;
/** A reply that moves the eyes more than this looks where it wants itself. */
const SOFT_GAZE = 0.16;

function both(shapes: Record<string, number>): Partial<Record<ArkitName, number>> {
  return Object.fromEntries(
    Object.entries(shapes).flatMap(([name, value]) => ["Left", "Right"].map((side) => [`${name}${side}`, value])),
  );
}

const INDEX = ARKIT_INDEX;
const BLINKS = [INDEX.eyeBlinkLeft, INDEX.eyeBlinkRight];
const GAZE_SHAPES = ARKIT_NAMES.map((name, k) => (name.startsWith("eyeLook") ? k : -1)).filter((k) => k >= 0);

export class Life {
  readonly weights = new Float32Array(K);
  readonly pose: Pose = { yaw: 0, pitch: 0, roll: 0, lift: 0 };
  emotion: Emotion | null = null;
  #rest = new Float32Array(K);
  #spoken = new Float32Array(K);
  #blinkAtS = 1.5;
  #glanceAtS = 2;
  #glance = { x: 0, y: 0 };
  #gaze = { x: 0, y: 0 };
  #turn = { yaw: 0, pitch: 0, roll: 0 };
  #attention = 0;
  #thought = 0;

  /**
   * The face of this moment, in `weights` and `pose`.
   *
   * @param nowS on the page's clock.
   * @param passedS since the last call.
   * @param frame of a reply that is heard, [52], or null.
   * @param level loudness of the voice that is heard, 0..1.
   */
  update(nowS: number, passedS: number, mood: Mood, frame: Float32Array | null, level: number): void {
    this.#attention = approach(this.#attention, mood === "listening" ? 1 : 0, passedS, 0.25);
    this.#thought = approach(this.#thought, mood === "thinking" ? 1 : 0, passedS, 0.35);
    this.#settle(passedS);
    if (frame) this.#spoken.set(frame);
    else this.#fade(passedS);
    for (let k = 0; k < K; k++) this.weights[k] = frame ? frame[k]! : Math.max(this.#rest[k]!, this.#spoken[k]!);
    this.#blink(nowS, frame);
    this.#look(nowS, passedS, mood);
    this.#hold(nowS, passedS, level);
  }

  /** The face at rest goes towards the chosen emotion; without one it is friendly. */
  #settle(passedS: number): void {
    const aim = new Float32Array(K);
    for (const name of EMOTIONS) {
      const amount = this.emotion?.[name] ?? 0;
      for (const [shape, value] of Object.entries(EXPRESSIONS[name])) {
        const k = INDEX[shape as ArkitName];
        aim[k] = Math.max(aim[k]!, amount * value);
      }
    }
    const brows = 0.22 * this.#attention + 0.1 * this.#thought;
    aim[INDEX.browInnerUp] = Math.max(aim[INDEX.browInnerUp]!, brows);
    for (const k of [INDEX.browOuterUpLeft, INDEX.browOuterUpRight]) aim[k] = Math.max(aim[k]!, 0.7 * brows);
    if (!this.emotion) {
      for (const k of [INDEX.mouthSmileLeft, INDEX.mouthSmileRight]) aim[k] = 0.2;
      for (const k of [INDEX.cheekSquintLeft, INDEX.cheekSquintRight]) aim[k] = 0.12;
    }
    for (let k = 0; k < K; k++) this.#rest[k] = approach(this.#rest[k]!, aim[k]!, passedS, 0.12);
  }

  /** After the voice the mouth closes within a tenth of a second. */
  #fade(passedS: number): void {
    const left = Math.exp(-passedS / CLOSING_S);
    for (let k = 0; k < K; k++) this.#spoken[k] = this.#spoken[k]! * left;
  }

  #blink(nowS: number, frame: Float32Array | null): void {
    if (frame && frame[BLINKS[0]!]! > 0.4) this.#blinkAtS = nowS + 1.5 + 3 * Math.random();
    const passed = (nowS - this.#blinkAtS) / BLINK_S;
    if (passed >= 1) {
      // Now and then twice, as people do.
      this.#blinkAtS = nowS + (Math.random() < 0.15 ? 0.12 : 2 + 3.5 * Math.random());
    } else if (passed > 0) {
      const closed = passed < 0.35 ? passed / 0.35 : 1 - (passed - 0.35) / 0.65;
      for (const k of BLINKS) this.weights[k] = Math.max(this.weights[k]!, closed ** 0.7);
    }
  }

  #look(nowS: number, passedS: number, mood: Mood): void {
    if (nowS > this.#glanceAtS) {
      const far = mood === "thinking" ? 0.9 : mood === "listening" ? 0.12 : 0.35;
      const y = mood === "thinking" ? 0.35 * Math.random() + 0.2 : (Math.random() - 0.5) * far;
      this.#glance = { x: (Math.random() * 2 - 1) * far, y };
      this.#glanceAtS = nowS + (mood === "idle" ? 0.8 + 2.4 * Math.random() : 0.6 + 1.2 * Math.random());
      // Most of the time one looks at whom one talks with.
      if (mood !== "thinking" && Math.random() < 0.55) this.#glance = { x: 0, y: 0 };
    }
    // Eyes jump, they do not glide.
    this.#gaze.x = approach(this.#gaze.x, this.#glance.x - this.pose.yaw * 1.4, passedS, 0.025);
    this.#gaze.y = approach(this.#gaze.y, this.#glance.y + this.pose.pitch * 1.6, passedS, 0.025);
    if (GAZE_SHAPES.some((k) => this.weights[k]! > SOFT_GAZE)) return;
    const { x, y } = this.#gaze;
    this.#set("eyeLookOutLeft", x), this.#set("eyeLookInRight", x);
    this.#set("eyeLookInLeft", -x), this.#set("eyeLookOutRight", -x);
    this.#set("eyeLookUpLeft", y), this.#set("eyeLookUpRight", y);
    this.#set("eyeLookDownLeft", -y), this.#set("eyeLookDownRight", -y);
  }

  #set(name: ArkitName, value: number): void {
    this.weights[INDEX[name]] = Math.min(1, Math.max(0, value));
  }

  #hold(nowS: number, passedS: number, level: number): void {
    const breath = Math.sin(nowS * 1.5);
    const nod = this.#attention * Math.max(0, Math.sin(nowS * 1.9)) ** 6 * 0.05;
    const yaw = 0.05 * wander(nowS, 0.31) + this.#glance.x * 0.12;
    const pitch = 0.025 * wander(nowS, 0.23) + 0.045 * this.#attention + nod - 0.05 * this.#thought - level * 0.12;
    const roll = 0.02 * wander(nowS, 0.19) + 0.055 * this.#attention + 0.03 * this.#thought;
    this.#turn.yaw = approach(this.#turn.yaw, yaw, passedS, 0.22);
    this.#turn.pitch = approach(this.#turn.pitch, pitch, passedS, 0.14);
    this.#turn.roll = approach(this.#turn.roll, roll, passedS, 0.3);
    Object.assign(this.pose, this.#turn, { lift: 0.0012 * breath });
  }
}

/** Goes from one value to another, two thirds of the way in `slowS`. */
function approach(from: number, to: number, passedS: number, slowS: number): number {
  return to + (from - to) * Math.exp(-passedS / slowS);
}

/** Slow and never the same: -1..1. */
function wander(nowS: number, hz: number): number {
  return (Math.sin(nowS * hz * 6.28) + Math.sin(nowS * hz * 3.9 + 1.3) + Math.sin(nowS * hz * 1.7 + 4.1)) / 3;
}
