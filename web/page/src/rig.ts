/** Bones and expressions of rigged heads: glTF names, VRM 0 and VRM 1. */

import { type ArkitName, canonicalName } from "exomni-client";
import { Mesh, type Object3D, Quaternion, Vector3 } from "three";
import type { GLTF } from "three/addons/loaders/GLTFLoader.js";
import type { Binding } from "./head";

/** The parts of the two VRM extensions that matter here. */
interface Vrm0 {
  humanoid?: { humanBones?: { bone: string; node: number }[] };
  blendShapeMaster?: { blendShapeGroups?: { name?: string; binds?: Vrm0Bind[] }[] };
}
interface Vrm0Bind {
  mesh: number;
  index: number;
  /** In percent. */
  weight: number;
}
interface Vrm1 {
  humanoid?: { humanBones?: Record<string, { node: number }> };
  expressions?: Record<"preset" | "custom", Record<string, { morphTargetBinds?: Vrm1Bind[] }> | undefined>;
}
interface Vrm1Bind {
  node: number;
  index: number;
  weight: number;
}

export interface Eyes {
  Left: Eye;
  Right: Eye;
}

const UP = new Vector3(0, 1, 0);
const SIDE = new Vector3(1, 0, 0);

/** One eye's node, turned about the model's axes whatever its own are. */
class Eye {
  #node: Object3D;
  #rest: Quaternion;
  #up = new Vector3();
  #side = new Vector3();
  #turn = new Quaternion();

  constructor(node: Object3D, model: Object3D) {
    this.#node = node;
    this.#rest = node.quaternion.clone();
    model.updateMatrixWorld(true);
    const toParent = node.parent!.getWorldQuaternion(new Quaternion()).invert();
    this.#up.copy(UP).applyQuaternion(toParent);
    this.#side.copy(SIDE).applyQuaternion(toParent);
  }

  turn(downRad: number, leftRad: number): void {
    this.#node.quaternion.copy(this.#rest);
    this.#node.quaternion.premultiply(this.#turn.setFromAxisAngle(this.#side, downRad));
    this.#node.quaternion.premultiply(this.#turn.setFromAxisAngle(this.#up, leftRad));
  }
}

/** The nodes that turn the eyes, or null where the head has none for each. */
export function eyeNodes(gltf: GLTF): Eyes | null {
  const find = (side: "left" | "right") => humanBone(gltf, `${side}Eye`) ?? named(gltf, eyePattern(side));
  const [left, right] = [find("left"), find("right")];
  return left && right ? { Left: new Eye(left, gltf.scene), Right: new Eye(right, gltf.scene) } : null;
}

/** The bone that holds the head, or null. */
export function headBone(gltf: GLTF): Object3D | null {
  const bone = humanBone(gltf, "head") ?? named(gltf, /^(.*[_:]|mixamorig)?head$/i);
  // A mesh, or a group that is all there is, would be turned about its own origin.
  return bone && (bone as { isBone?: boolean }).isBone ? bone : null;
}

/** VRM 0 looks along -z. */
export function looksBackwards(gltf: GLTF): boolean {
  return vrm0(gltf) !== undefined;
}

/** The morph targets of a VRM's expressions that are named like ARKit's shapes ("perfect sync"). */
export function expressionBinds(gltf: GLTF): [ArkitName, Binding[]][] {
  const found: [ArkitName, Binding[]][] = [];
  for (const group of vrm0(gltf)?.blendShapeMaster?.blendShapeGroups ?? []) {
    const binds = (group.binds ?? []).flatMap(({ mesh, index, weight }) =>
      meshesOf(gltf, "meshes", mesh).map((each) => ({ mesh: each, target: index, weight: weight / 100 })),
    );
    push(found, group.name ?? "", binds);
  }
  const { preset, custom } = vrm1(gltf)?.expressions ?? {};
  for (const [name, expression] of Object.entries({ ...preset, ...custom })) {
    const binds = (expression.morphTargetBinds ?? []).flatMap(({ node, index, weight }) =>
      meshesOf(gltf, "nodes", node).map((each) => ({ mesh: each, target: index, weight })),
    );
    push(found, name, binds);
  }
  return found;
}

function push(found: [ArkitName, Binding[]][], spelled: string, binds: Binding[]): void {
  const name = canonicalName(spelled);
  const useful = binds.filter(
    ({ mesh, target, weight }) => weight > 0 && target < (mesh.morphTargetInfluences?.length ?? 0),
  );
  if (name && useful.length) found.push([name, useful]);
}

function meshesOf(gltf: GLTF, kind: "meshes" | "nodes", index: number): Mesh[] {
  const meshes: Mesh[] = [];
  gltf.scene.traverse((each) => {
    const isIt = (object: Object3D | null) => object !== null && gltf.parser.associations.get(object)?.[kind] === index;
    // A mesh of several primitives is a group, whose children know the mesh and whose node is the group's.
    if (each instanceof Mesh && (isIt(each) || isIt(each.parent))) meshes.push(each);
  });
  return meshes;
}

function humanBone(gltf: GLTF, bone: string): Object3D | null {
  const index =
    vrm1(gltf)?.humanoid?.humanBones?.[bone]?.node ??
    vrm0(gltf)?.humanoid?.humanBones?.find((each) => each.bone === bone)?.node;
  return index === undefined ? null : nodeAt(gltf, index);
}

function nodeAt(gltf: GLTF, index: number): Object3D | null {
  for (const [object, { nodes }] of gltf.parser.associations) {
    if (nodes === index && "isObject3D" in object && (object as Object3D).parent) return object as Object3D;
  }
  return null;
}

function named(gltf: GLTF, pattern: RegExp): Object3D | null {
  let found: Object3D | null = null;
  gltf.scene.traverse((node) => {
    if (!found && node.parent && pattern.test(node.name)) found = node;
  });
  return found;
}

/** `eyeLeft`, `LeftEye`, `Eye_L`, `eye.l`, `mixamorigLeftEye`: but no lids, lashes or brows. */
function eyePattern(side: "left" | "right"): RegExp {
  const which = `(${side}|${side[0]})`;
  return new RegExp(`^(.*[_:]|mixamorig)?(eye(ball)?[_.]?${which}|${which}[_.]?eye(ball)?)$`, "i");
}

function vrm0(gltf: GLTF): Vrm0 | undefined {
  return gltf.parser.json.extensions?.VRM as Vrm0 | undefined;
}

function vrm1(gltf: GLTF): Vrm1 | undefined {
  return gltf.parser.json.extensions?.VRMC_vrm as Vrm1 | undefined;
}
