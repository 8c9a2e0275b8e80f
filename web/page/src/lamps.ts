/** What shines on a head, however it is shaded. */

export interface Lamp {
  /** Where it shines from, in the scene: a head looks along +z, its left is +x. */
  from: readonly [number, number, number];
  strength: number;
  colour: number;
}

export const LAMPS = {
  key: { from: [0.5, 0.55, 1.1], strength: 2.6, colour: 0xfff1e2 },
  fill: { from: [-1.2, 0.1, 0.8], strength: 0.7, colour: 0xdfe8ff },
  rim: { from: [-0.8, 0.8, -1.2], strength: 2.2, colour: 0xcfdcff },
} as const satisfies Record<string, Lamp>;
export const SKY = { above: 0xf2f4ff, below: 0x8a7468, strength: 0.75 };
