/**
 * Shading for a computer without a graphics card.
 *
 * Light is worked out at the vertices, and a pixel is one look into the picture times that light: heads have some
 * 40,000 vertices, but strands of hair lie over one another and are many times as many pixels. Colours are multiplied
 * as they are stored, (a b)^(1/2.2) being a^(1/2.2) b^(1/2.2), so that no pixel is converted twice.
 */

import {
  Color, DoubleSide, LinearMipmapNearestFilter, Matrix3, Mesh, MeshPhysicalMaterial, MeshStandardMaterial,
  NoColorSpace, type Object3D, ShaderMaterial, type Texture, Vector3,
} from "three";
import { LAMPS, SKY } from "./lamps";

/** What a mirrored room would add from all sides. */
const ROOM = { colour: 0xe8ecff, strength: 0.8 };
/** Chosen by eye, against the other shading. */
const LOOK = { EXPOSURE: "1.3", COLOUR: "0.72", BEND: "0.65", GLOSS: "0.3" };
const BETWEEN = `
  varying vec2 at;
  varying vec3 light;
  varying vec3 gloss;
  #ifdef USE_COLOR
    varying vec4 painted;
  #endif
`;
const LIT = `
  #include <common>
  #include <morphtarget_pars_vertex>
  #include <skinning_pars_vertex>
  uniform vec3 froms[3];
  uniform vec3 lamps[3];
  uniform vec3 above;
  uniform vec3 below;
  uniform vec3 tint;
  uniform float shine;
  uniform mat3 place;
  ${BETWEEN}

  void main() {
    #include <beginnormal_vertex>
    #include <morphnormal_vertex>
    #include <skinbase_vertex>
    #include <skinnormal_vertex>
    #include <defaultnormal_vertex>
    #include <begin_vertex>
    #include <morphtarget_vertex>
    #include <skinning_vertex>
    #include <project_vertex>
    vec3 n = transformedNormal / max(length(transformedNormal), 1e-6);
    vec3 eye = normalize(-mvPosition.xyz);
    #ifdef BOTH_SIDES
      // Not at once: at an outline, vertices of a side that is seen look away a little.
      if (dot(n, eye) < -0.2) n = -n;
    #endif
    mat3 seen = mat3(viewMatrix);
    vec3 sum = mix(below, above, 0.5 + 0.5 * dot(n, seen[1]));
    for (int i = 0; i < 3; i++) sum += lamps[i] * max(dot(n, seen * froms[i]), 0.0);
    light = pow(EXPOSURE * sum * tint, vec3(1.0 / 2.2));
    float mirrored = max(dot(n, normalize(seen * froms[0] + eye)), 0.0);
    gloss = vec3(GLOSS * shine * pow(mirrored, exp2(2.0 + 5.0 * shine)));
    #ifdef HAS_MAP
      at = (place * vec3(MAP_UV, 1.0)).xy;
    #endif
    #ifdef USE_COLOR
      painted = vec4(pow(color.rgb, vec3(1.0 / 2.2)), 1.0);
      #ifdef USE_COLOR_ALPHA
        painted.a = color.a;
      #endif
    #endif
  }
`;
const SHADED = `
  uniform sampler2D map;
  uniform float opacity;
  uniform float cut;
  ${BETWEEN}

  void main() {
    #ifdef HAS_MAP
      vec4 base = texture2D(map, at);
      base.a *= opacity;
    #else
      vec4 base = vec4(1.0, 1.0, 1.0, opacity);
    #endif
    #ifdef USE_COLOR
      base *= painted;
    #endif
    #ifdef CUT
      if (base.a < cut) discard;
    #endif
    #ifndef SEEN_THROUGH
      base.a = 1.0;
    #endif
    // As a film's tone curve has it: dark places darker, bright ones soft, colours less strong.
    vec3 toned = min(base.rgb * light, 1.0);
    toned = mix(vec3(dot(toned, vec3(0.3, 0.6, 0.1))), toned, COLOUR);
    toned = mix(toned, toned * toned * (3.0 - 2.0 * toned), BEND);
    gl_FragColor = vec4(toned + gloss, base.a);
  }
`;

/** Shades a mesh in a way that a processor can: the same colours, a highlight, no mirrored room, no fine relief. */
export function shadePlainly(node: Object3D): void {
  if (!(node instanceof Mesh) || !(node.material instanceof MeshStandardMaterial)) return;
  const from = node.material;
  const { name, color, map, side, alphaTest, transparent, opacity, vertexColors } = from;
  const coated = from instanceof MeshPhysicalMaterial && from.clearcoat > 0;
  const roughness = coated ? from.clearcoatRoughness : from.roughness * (from.roughnessMap ? 0.6 : 1);
  const defines: Record<string, string> = { ...LOOK };
  if (map) Object.assign(defines, placed(map), { HAS_MAP: "" });
  if (alphaTest > 0) defines["CUT"] = "";
  if (side === DoubleSide) defines["BOTH_SIDES"] = "";
  if (transparent) defines["SEEN_THROUGH"] = "";
  map?.updateMatrix();
  if (!node.geometry.hasAttribute("normal")) node.geometry.computeVertexNormals();
  node.material = new ShaderMaterial({
    name, side, transparent, vertexColors, defines,
    vertexShader: LIT,
    fragmentShader: SHADED,
    depthWrite: from.depthWrite,
    forceSinglePass: from.forceSinglePass,
    uniforms: {
      ...LIGHTS,
      tint: { value: color },
      shine: { value: 1 - roughness },
      map: { value: map && stored(map) },
      place: { value: map?.matrix ?? new Matrix3() },
      opacity: { value: opacity },
      cut: { value: alphaTest },
    },
  });
  from.dispose();
}

const { key, fill, rim } = LAMPS;
const LIGHTS = {
  froms: { value: [key, fill, rim].map(({ from }) => new Vector3(...from).normalize()) },
  lamps: { value: [key, fill, rim].map(({ colour, strength }) => shining(colour, strength)) },
  above: { value: shining(SKY.above, SKY.strength).add(shining(ROOM.colour, ROOM.strength)) },
  below: { value: shining(SKY.below, SKY.strength).add(shining(ROOM.colour, ROOM.strength)) },
};

/** Of what shines on a matt surface, the part that comes back. */
function shining(colour: number, strength: number): Color {
  return new Color(colour).multiplyScalar(strength / Math.PI);
}

function placed(map: Texture): Record<string, string> {
  return map.channel === 0 ? { MAP_UV: "uv" } : { MAP_UV: `uv${map.channel}`, [`USE_UV${map.channel}`]: "" };
}

/** The texture with its colours as they are stored, and one mipmap at a time. */
function stored(map: Texture): Texture {
  const copy = map.clone();
  copy.colorSpace = NoColorSpace;
  copy.minFilter = LinearMipmapNearestFilter;
  copy.needsUpdate = true;
  return copy;
}
