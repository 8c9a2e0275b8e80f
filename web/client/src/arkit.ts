/** ARKit's 52 blendshapes in the project's order, and how other programs spell them. */

export const ARKIT_NAMES = [
  "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
  "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
  "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
  "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
  "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft",
  "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
  "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
  "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
  "tongueOut",
] as const;

export type ArkitName = (typeof ARKIT_NAMES)[number];

/** Number of shapes. */
export const K = ARKIT_NAMES.length;

/** Column of each name. */
export const ARKIT_INDEX = Object.fromEntries(ARKIT_NAMES.map((name, i) => [name, i])) as Record<ArkitName, number>;

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");

const FORMS = new Map<string, ArkitName>();
for (const name of ARKIT_NAMES) {
  FORMS.set(plain(name), name);
  for (const side of ["Left", "Right"]) {
    if (name.endsWith(side)) FORMS.set(plain(name.slice(0, -side.length)) + side[0]!.toLowerCase(), name);
  }
}

/**
 * The ARKit name that `name` spells, or null.
 *
 * camelCase, PascalCase, snake_case, `_L`/`_R` (also `.L`, `-L`), VRM perfect sync's, and any of these behind a mesh's
 * name with a dot or colon (`blendShape1.jawOpen`).
 */
export function canonicalName(name: string): ArkitName | null {
  const last = name.split(/[.:](?=[^.:]{2,}$)/).at(-1)!;
  return FORMS.get(plain(name)) ?? FORMS.get(plain(last)) ?? null;
}
