/** A head from any GLB or VRM with ARKit's shapes. */

import { ARKIT_INDEX, ARKIT_NAMES, type ArkitName, canonicalName } from "exomni-client";
import { MeshoptDecoder } from "meshopt-reference";
import {
  Box3, Euler, Group, type Material, Mesh, type Object3D, Quaternion, ShaderMaterial, SkinnedMesh, Texture, Vector3,
} from "three";
import { type GLTF, GLTFLoader, type GLTFLoaderPlugin, type GLTFParser } from "three/addons/loaders/GLTFLoader.js";
import { Morphs } from "./morphs";
import { eyeNodes, expressionBinds, type Eyes, headBone, looksBackwards } from "./rig";

/** Shapes that move most of a face: where they reach is the face. */
const FACE_SHAPES: readonly ArkitName[] = ["jawOpen", "browInnerUp", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft"];
/** How high the face is in the scene, from the chin to the brows, in metres. */
const FACE_HEIGHT_M = 0.16;
/** How far the eyes turn where a gaze shape is 1, in radians. */
const GAZE_SIDE_RAD = 0.6;
const GAZE_UP_RAD = 0.45;

const GAZE = ["eyeLookUp", "eyeLookDown", "eyeLookIn", "eyeLookOut"] as const;

/** A file that shows no face; its message is for the person who brought it. */
export class HeadError extends Error {}

/** How the head is held: turned in radians, moved in metres. */
export interface Pose {
  yaw: number;
  pitch: number;
  roll: number;
  lift: number;
}

/** A morph target of a mesh, and what one shape asks of it. */
export interface Binding {
  mesh: Mesh;
  target: number;
  /** Of the target where the shape is 1. */
  weight: number;
}

export class Head {
  /** What the scene holds: the head at its place and size. */
  readonly root = new Group();
  /** Shapes that this head does not have. */
  readonly missing: ArkitName[];
  /** Whether the file has textures that only a KTX2 decoder reads; it is shown without them. */
  readonly lacksTextures: boolean;
  #shapes: Binding[][];
  #morphs = new Map<Mesh, Morphs>();
  #eyes: Eyes | null;
  #bone: Object3D | null;
  #rest = new Quaternion();
  #turn = new Quaternion();

  private constructor(gltf: GLTF) {
    this.#shapes = bindings(gltf);
    this.lacksTextures = (gltf.parser.json.textures as TextureDef[] | undefined)?.some(isKtx2Alone) ?? false;
    this.missing = ARKIT_NAMES.filter((_, k) => this.#shapes[k]!.length === 0);
    if (this.missing.length === ARKIT_NAMES.length) {
      throw new HeadError("No mesh in this file has ARKit's shapes (jawOpen, eyeBlinkLeft, …) as morph targets.");
    }
    for (const { mesh } of this.#shapes.flat()) this.#takeOver(mesh);
    this.#bone = headBone(gltf);
    if (this.#bone) this.#rest.copy(this.#bone.quaternion);
    this.#eyes = this.#gazeIsMorphed() ? null : eyeNodes(gltf);
    this.root.add(this.#placed(gltf));
    this.root.traverse(prepare);
  }

  /**
   * Reads a GLB or VRM.
   *
   * @throws HeadError where it is damaged, or has none of the shapes.
   */
  static async load(data: ArrayBuffer): Promise<Head> {
    // The decoder without WebAssembly: the page's policy forbids to compile any.
    const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder as never).register(withoutKtx2);
    let gltf: GLTF;
    try {
      gltf = await loader.parseAsync(data, "");
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new HeadError(`This file could not be read as a GLB or VRM: ${why.replace(/^THREE\.GLTFLoader: /, "")}`);
    }
    return new Head(gltf);
  }

  /** Shows a face: weights [52] in the project's order, in 0..1. */
  show(weights: Float32Array, pose: Pose): void {
    for (const { weights: each } of this.#morphs.values()) each.fill(0);
    this.#shapes.forEach((bound, k) => {
      for (const { mesh, target, weight } of bound) this.#morphs.get(mesh)!.weights[target]! += weights[k]! * weight;
    });
    for (const morphs of this.#morphs.values()) morphs.apply();
    this.#look(weights);
    this.#hold(pose);
  }

  /** What a shape's weight is on the rendered mesh, 0..1; null where the head does not have it. */
  rendered(name: ArkitName): number | null {
    const bound = this.#shapes[ARKIT_INDEX[name]]![0];
    return bound ? this.#morphs.get(bound.mesh)!.weights[bound.target]! / bound.weight : null;
  }

  dispose(): void {
    this.root.traverse((node) => {
      if (!(node instanceof Mesh)) return;
      node.geometry.dispose();
      if (node instanceof SkinnedMesh) node.skeleton.dispose();
      for (const material of [node.material].flat() as Material[]) {
        const held = material instanceof ShaderMaterial ? material.uniforms["map"] : material;
        for (const value of Object.values(held ?? {})) if (value instanceof Texture) value.dispose();
        material.dispose();
      }
    });
  }

  #takeOver(mesh: Mesh): void {
    if (!this.#morphs.has(mesh)) this.#morphs.set(mesh, new Morphs(mesh));
  }

  #gazeIsMorphed(): boolean {
    const shapes = GAZE.flatMap((name) => [`${name}Left`, `${name}Right`] as ArkitName[]);
    // Where gaze shapes reach skinned eyes, they turn them already; a rigid eyeball needs its node turned.
    return shapes.every((name) => this.#shapes[ARKIT_INDEX[name]]!.some(({ mesh }) => mesh instanceof SkinnedMesh));
  }

  #look(weights: Float32Array): void {
    if (!this.#eyes) return;
    for (const side of ["Left", "Right"] as const) {
      const [up, down, inward, outward] = GAZE.map((name) => weights[ARKIT_INDEX[`${name}${side}`]]!) as [
        number, number, number, number,
      ];
      // A person's left is +x, where the head looks along +z.
      const toTheLeft = side === "Left" ? outward - inward : inward - outward;
      this.#eyes[side].turn((down - up) * GAZE_UP_RAD, toTheLeft * GAZE_SIDE_RAD);
    }
  }

  #hold({ yaw, pitch, roll, lift }: Pose): void {
    this.root.position.y = lift;
    this.#turn.setFromEuler(new Euler(pitch, yaw, roll));
    if (this.#bone) this.#bone.quaternion.copy(this.#rest).multiply(this.#turn);
    else this.root.quaternion.copy(this.#turn);
  }

  /** The scene of the file, so that the face has its size and looks along +z, its middle above the origin. */
  #placed(gltf: GLTF): Object3D {
    const scene = new Group();
    scene.add(gltf.scene);
    if (looksBackwards(gltf)) gltf.scene.rotation.y = Math.PI;
    const face = this.#faceBox(scene);
    const size = face.getSize(new Vector3());
    const scale = FACE_HEIGHT_M / Math.max(size.y, 1e-6);
    const middle = face.getCenter(new Vector3()).multiplyScalar(scale);
    scene.scale.setScalar(scale);
    // The root turns about the neck, which is behind and below of the face.
    scene.position.set(-middle.x, -middle.y, -middle.z + FACE_HEIGHT_M * 0.35);
    return scene;
  }

  #faceBox(scene: Object3D): Box3 {
    scene.updateMatrixWorld(true);
    const box = new Box3();
    const point = new Vector3();
    for (const name of FACE_SHAPES) {
      for (const { mesh, target } of this.#shapes[ARKIT_INDEX[name]]!) {
        const { vertices, lengths } = this.#morphs.get(mesh)!.reach(target);
        const least = 0.15 * lengths.reduce((most, length) => Math.max(most, length), 0);
        vertices.forEach((vertex, i) => {
          if (lengths[i]! > least) box.expandByPoint(mesh.localToWorld(mesh.getVertexPosition(vertex, point)));
        });
      }
    }
    return box.isEmpty() ? box.setFromObject(scene) : box;
  }
}

interface TextureDef {
  source?: number;
  extensions?: Record<string, unknown>;
}

const KTX2 = "KHR_texture_basisu";

function isKtx2Alone(texture: TextureDef): boolean {
  return texture.source === undefined && texture.extensions?.[KTX2] !== undefined;
}

/** Leaves KTX2 textures out where the file has no others: a plain head is better than none. */
function withoutKtx2(parser: GLTFParser): GLTFLoaderPlugin {
  const loadTexture = (index: number) =>
    isKtx2Alone((parser.json.textures as TextureDef[])[index]!) ? Promise.resolve(null) : null;
  return { name: KTX2, loadTexture } as GLTFLoaderPlugin;
}

/** The morph targets behind each of the 52 shapes: meshes' own names first, then a VRM's expressions. */
function bindings(gltf: GLTF): Binding[][] {
  const shapes: Binding[][] = ARKIT_NAMES.map(() => []);
  gltf.scene.traverse((node) => {
    if (!(node instanceof Mesh) || !node.morphTargetDictionary) return;
    for (const [spelled, target] of Object.entries(node.morphTargetDictionary)) {
      const name = canonicalName(spelled);
      if (name) shapes[ARKIT_INDEX[name]]!.push({ mesh: node, target, weight: 1 });
    }
  });
  for (const [name, bound] of expressionBinds(gltf)) {
    const shape = shapes[ARKIT_INDEX[name]]!;
    if (shape.length === 0) shape.push(...bound);
  }
  return shapes;
}

function prepare(node: Object3D): void {
  if (!(node instanceof Mesh)) return;
  // Moved by shapes and bones, a mesh leaves the box that it is culled by.
  node.frustumCulled = false;
  const sees = ([node.material].flat() as Material[]).some((material) => material.transparent);
  node.castShadow = !sees;
  node.receiveShadow = true;
}
