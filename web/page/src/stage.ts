/** The scene: light, camera, and how much of it this computer can draw. */

import {
  ACESFilmicToneMapping, BackSide, BoxGeometry, DirectionalLight, HemisphereLight, Mesh, MeshBasicMaterial,
  PCFShadowMap, PerspectiveCamera, PMREMGenerator, Scene, Vector3, WebGLRenderer,
} from "three";
import type { Head } from "./head";
import { type Lamp, LAMPS, SKY } from "./lamps";
import { shadePlainly } from "./plain";

const FIELD_OF_VIEW_DEG = 22;
/** What is to be seen of the head, in metres: from above the hair to the neck. */
const VIEW_HEIGHT_M = 0.41;
const VIEW_WIDTH_M = 0.32;
/** Slower than this between two frames, the picture gets coarser; faster, finer. */
const SLOW_S = 1 / 32;
const FAST_S = 1 / 55;
const COARSEST = 0.5;
/** Pictures a second that a computer without a graphics card is asked for, at the most. */
const SOFTWARE_FPS = 20;
/** How long such a computer rests after a picture, as a share of what it took. */
const REST = 0.3;
/** A picture that takes longer than this holds up the messages of the server: while it answers, few are drawn. */
const SLOW_PICTURE_S = 0.08;
const WORKING_REST_S = 2;
const SOFTWARE_PIXELS = 250_000;
/** Such a computer's limits between which the picture is made coarser or finer. */
const SOFTWARE_SLOW_S = 1 / 12;
const SOFTWARE_FAST_S = 1 / 18;

export class Stage {
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(FIELD_OF_VIEW_DEG, 1, 0.05, 10);
  readonly #software: boolean;
  /** Whether an answer is being thought of, perhaps on this very computer: without a graphics card, pictures wait. */
  working = false;
  #ratio: number;
  #meanS = 1 / 60;
  #lastS = 0;
  #doneS = 0;
  #drawing: WebGLSync | null = null;
  #head: Head | null = null;
  #watched: ResizeObserver;

  /**
   * @throws Error where the browser has no WebGL.
   */
  constructor(readonly canvas: HTMLCanvasElement) {
    this.#software = drawsInSoftware();
    document.documentElement.classList.toggle("software", this.#software);
    const antialias = !this.#software;
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias, powerPreference: "high-performance" });
    this.renderer.toneMapping = ACESFilmicToneMapping;
    this.renderer.toneMappingExposure = 1.05;
    this.renderer.shadowMap.enabled = !this.#software;
    this.renderer.shadowMap.type = PCFShadowMap;
    const { clientWidth, clientHeight } = canvas;
    this.#ratio = this.#software ? Math.sqrt(SOFTWARE_PIXELS / (clientWidth * clientHeight || 1)) : this.#finest;
    this.#light();
    this.#watched = new ResizeObserver(() => this.#fit());
    this.#watched.observe(canvas);
  }

  /** Frames a second that are drawn. */
  get fps(): number {
    return 1 / this.#meanS;
  }

  get head(): Head | null {
    return this.#head;
  }

  set head(head: Head | null) {
    if (this.#head) {
      this.scene.remove(this.#head.root);
      this.#head.dispose();
    }
    this.#head = head;
    if (head && this.#software) head.root.traverse(shadePlainly);
    if (head) this.scene.add(head.root);
    this.#fit();
  }

  /** Calls `frame` before each picture, with the page's time and what passed since the last, in seconds. */
  run(frame: (nowS: number, passedS: number) => void): void {
    this.renderer.setAnimationLoop((nowMs) => {
      const nowS = nowMs / 1000;
      const passedS = nowS - this.#lastS;
      if (this.#software && !this.#mayDraw(nowS)) return;
      this.#lastS = nowS;
      frame(nowS, passedS);
      this.renderer.render(this.scene, this.camera);
      if (this.#head) this.canvas.classList.add("ready");
      if (this.#software) this.#drawing = this.#gl.fenceSync(this.#gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
      this.#adapt(passedS);
    });
  }

  dispose(): void {
    this.renderer.setAnimationLoop(null);
    this.#watched.disconnect();
    this.head = null;
    this.renderer.dispose();
  }

  get #finest(): number {
    return Math.min(devicePixelRatio, 2);
  }

  /** Lights for materials that ask for them; plain ones know theirs. */
  #light(): void {
    const lamp = ({ colour, strength, from }: Lamp) => {
      const light = new DirectionalLight(colour, strength);
      light.position.set(...from);
      return light;
    };
    const key = lamp(LAMPS.key);
    key.castShadow = true;
    key.shadow.mapSize.set(1024, 1024);
    key.shadow.radius = 6;
    key.shadow.normalBias = 0.002;
    key.shadow.bias = -0.0004;
    Object.assign(key.shadow.camera, { left: -0.3, right: 0.3, top: 0.3, bottom: -0.3, near: 0.3, far: 3 });
    this.scene.add(new HemisphereLight(SKY.above, SKY.below, SKY.strength), key, lamp(LAMPS.fill), lamp(LAMPS.rim));
    if (this.#software) return;
    const maker = new PMREMGenerator(this.renderer);
    this.scene.environment = maker.fromScene(studio(), 0.03).texture;
    this.scene.environmentIntensity = 0.42;
    maker.dispose();
  }

  /** Fits the picture to the canvas and the head to the picture. */
  #fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.renderer.setPixelRatio(this.#ratio);
    this.renderer.setSize(width, height, false);
    const half = Math.tan((FIELD_OF_VIEW_DEG * Math.PI) / 360);
    const aspect = width / height;
    const distance = Math.max(VIEW_HEIGHT_M / 2 / half, VIEW_WIDTH_M / 2 / (half * aspect));
    this.canvas.style.setProperty("--metre", `${height / (2 * half * distance)}px`);
    this.camera.aspect = aspect;
    this.camera.position.set(0, 0.02, distance);
    this.camera.lookAt(new Vector3(0, -0.003, 0));
    this.camera.updateProjectionMatrix();
  }

  get #gl(): WebGL2RenderingContext {
    return this.renderer.getContext() as WebGL2RenderingContext;
  }

  /** Whether the last picture is done and the processor has had its rest: else pictures pile up before other work. */
  #mayDraw(nowS: number): boolean {
    if (this.#drawing) {
      const state = this.#gl.clientWaitSync(this.#drawing, this.#gl.SYNC_FLUSH_COMMANDS_BIT, 0);
      if (state === this.#gl.TIMEOUT_EXPIRED) return false;
      this.#gl.deleteSync(this.#drawing);
      this.#drawing = null;
      this.#doneS = nowS;
    }
    const tookS = this.#doneS - this.#lastS;
    const restS = this.working && tookS > SLOW_PICTURE_S ? WORKING_REST_S : tookS * REST;
    return nowS >= Math.max(this.#doneS + restS, this.#lastS + 1 / SOFTWARE_FPS - 0.004);
  }

  #adapt(passedS: number): void {
    this.#meanS += 0.05 * (passedS - this.#meanS);
    if (this.working || document.hidden) return;
    const [slowS, fastS] = this.#software ? [SOFTWARE_SLOW_S, SOFTWARE_FAST_S] : [SLOW_S, FAST_S];
    const next =
      this.#meanS > slowS ? Math.max(COARSEST, this.#ratio * 0.8)
      : this.#meanS < fastS ? Math.min(this.#finest, this.#ratio * 1.25)
      : this.#ratio;
    if (next === this.#ratio) return;
    this.#ratio = next;
    // Time to see what the change does, before the next.
    this.#meanS = (slowS + fastS) / 2;
    this.#fit();
  }
}

/** Whether the processor draws, for want of a graphics card. */
function drawsInSoftware(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return false;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software/i.test(name);
}

/** A room with soft lamps, to be mirrored in eyes and skin. */
function studio(): Scene {
  const scene = new Scene();
  const box = new BoxGeometry();
  const add = (colour: number, strength: number, place: [number, number, number], size: [number, number, number]) => {
    const material = new MeshBasicMaterial({ color: colour, side: BackSide });
    material.color.multiplyScalar(strength);
    const mesh = new Mesh(box, material);
    mesh.position.set(...place);
    mesh.scale.set(...size);
    scene.add(mesh);
  };
  add(0x70747f, 1, [0, 0, 0], [12, 8, 12]);
  for (const [colour, strength, place, size] of [
    [0xfff3e6, 14, [3, 2.2, 4], [1.6, 2.4, 0.1]],
    [0xe4edff, 6, [-4, 1, 3], [1.4, 3, 0.1]],
    [0xffffff, 5, [0, 3.8, 0], [4, 0.1, 4]],
    [0xd5e2ff, 8, [-3, 2, -4], [2, 2, 0.1]],
  ] as const) {
    add(colour, strength, [...place], [...size]);
  }
  return scene;
}
