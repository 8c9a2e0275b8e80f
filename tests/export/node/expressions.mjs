// The expression curves and the turns of head and gaze that three-vrm finds in a VRM animation, as JSON on standard output.
import { readFileSync } from "node:fs";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { VRMAnimationLoaderPlugin } from "@pixiv/three-vrm-animation";

console.warn = () => {};
const file = readFileSync(process.argv[2]);
const loader = new GLTFLoader();
loader.register((parser) => new VRMAnimationLoaderPlugin(parser));
const gltf = await loader.parseAsync(new Uint8Array(file).buffer, "");
const animation = gltf.userData.vrmAnimations[0];
const { preset, custom } = animation.expressionTracks;
const curves = {};
for (const [name, track] of [...preset, ...custom]) {
  curves[name] = { times: [...track.times], values: [...track.values] };
}
const turns = { head: animation.humanoidTracks.rotation.get("head"), gaze: animation.lookAtTrack };
for (const [name, track] of Object.entries(turns)) turns[name] = track ? [...track.values] : null;
console.log(JSON.stringify({ curves, turns }));
