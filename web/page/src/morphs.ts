/**
 * Morph targets, added up on the processor.
 *
 * A shape moves a small part of a head, and few shapes are far from zero at once: adding only what moves takes less
 * than a millisecond, where a vertex shader asks all targets for every vertex. Without a graphics card that is half of
 * a picture's time, and there are no limits on how many targets a mesh may have.
 */

import { BufferAttribute, type BufferGeometry, DynamicDrawUsage, type Mesh } from "three";

/** Weights less than this move nothing that could be seen. */
const STILL = 1e-4;

interface Target {
  vertices: Uint32Array;
  /** Of positions, then of normals, 3 each for every one of `vertices`. */
  moves: Float32Array[];
}

const MORPHED = ["position", "normal"] as const;

export class Morphs {
  readonly weights: Float32Array;
  #shown: Float32Array;
  #targets: Target[];
  #bases: Float32Array[];
  #attributes: BufferAttribute[];

  /** Takes a mesh's morph targets over from the shader. */
  constructor(mesh: Mesh) {
    const { geometry } = mesh;
    const names = MORPHED.filter((name) => geometry.getAttribute(name) && geometry.morphAttributes[name]?.length);
    const count = geometry.morphAttributes.position?.length ?? 0;
    this.weights = new Float32Array(count);
    this.#shown = new Float32Array(count);
    this.#bases = names.map((name) => floats(geometry.getAttribute(name)));
    this.#targets = Array.from({ length: count }, (_, i) =>
      sparse(names.map((name) => floats(geometry.morphAttributes[name]![i]!))),
    );
    if (!geometry.morphTargetsRelative) this.#makeRelative();
    this.#attributes = names.map((name, i) => replace(geometry, name, this.#bases[i]!));
    geometry.morphAttributes = {};
    mesh.updateMorphTargets();
  }

  /** Vertices that a target moves, and how far, in the mesh's units. */
  reach(target: number): { vertices: Uint32Array; lengths: Float32Array } {
    const { vertices, moves } = this.#targets[target]!;
    const lengths = Float32Array.from(vertices, (_, i) =>
      Math.hypot(moves[0]![3 * i]!, moves[0]![3 * i + 1]!, moves[0]![3 * i + 2]!),
    );
    return { vertices, lengths };
  }

  /** Moves the vertices where `weights` have changed. */
  apply(): void {
    if (this.weights.every((weight, i) => Math.abs(weight - this.#shown[i]!) < STILL)) return;
    this.#shown.set(this.weights);
    this.#attributes.forEach((attribute, kind) => {
      const out = attribute.array as Float32Array;
      out.set(this.#bases[kind]!);
      this.#targets.forEach(({ vertices, moves }, i) => {
        const weight = this.weights[i]!;
        if (Math.abs(weight) >= STILL) add(out, vertices, moves[kind]!, weight);
      });
      attribute.needsUpdate = true;
    });
  }

  #makeRelative(): void {
    for (const { vertices, moves } of this.#targets) {
      moves.forEach((move, kind) => {
        vertices.forEach((vertex, i) => {
          for (let axis = 0; axis < 3; axis++) move[3 * i + axis]! -= this.#bases[kind]![3 * vertex + axis]!;
        });
      });
    }
  }
}

function add(out: Float32Array, vertices: Uint32Array, moves: Float32Array, weight: number): void {
  for (let i = 0, from = 0; i < vertices.length; i++, from += 3) {
    const to = 3 * vertices[i]!;
    out[to]! += weight * moves[from]!;
    out[to + 1]! += weight * moves[from + 1]!;
    out[to + 2]! += weight * moves[from + 2]!;
  }
}

/** An attribute's values as plain numbers, [3 * count], however it is packed. */
function floats(attribute: BufferGeometry["attributes"][string]): Float32Array {
  const out = new Float32Array(attribute.count * 3);
  for (let i = 0; i < attribute.count; i++) {
    out[3 * i] = attribute.getX(i);
    out[3 * i + 1] = attribute.getY(i);
    out[3 * i + 2] = attribute.getZ(i);
  }
  return out;
}

/** Only the vertices that some of the arrays [3 * count] move. */
function sparse(whole: Float32Array[]): Target {
  const count = whole[0]!.length / 3;
  const moving = [];
  for (let i = 0; i < count; i++) {
    if (whole.some((values) => values[3 * i] || values[3 * i + 1] || values[3 * i + 2])) moving.push(i);
  }
  const vertices = Uint32Array.from(moving);
  const moves = whole.map((values) => {
    const out = new Float32Array(vertices.length * 3);
    vertices.forEach((vertex, i) => out.set(values.subarray(3 * vertex, 3 * vertex + 3), 3 * i));
    return out;
  });
  return { vertices, moves };
}

function replace(geometry: BufferGeometry, name: string, base: Float32Array): BufferAttribute {
  const attribute = new BufferAttribute(base.slice(), 3).setUsage(DynamicDrawUsage);
  geometry.setAttribute(name, attribute);
  return attribute;
}
