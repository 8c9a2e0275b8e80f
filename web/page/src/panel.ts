/** The panel: what lips and brows do, and where the time went. */

import { ARKIT_INDEX, type ArkitName, type Reply } from "exomni-client";
import { byId, make } from "./dom";

const SPAN_S = 4;
/** The panel is drawn so often, whatever the picture's rate. */
const PERIOD_S = 1 / 20;

interface Curve {
  label: string;
  names: ArkitName[];
  hue: number;
}

const LIPS: Curve[] = [
  { label: "open", names: ["jawOpen"], hue: 14 },
  { label: "pucker", names: ["mouthPucker", "mouthFunnel"], hue: 265 },
  { label: "press", names: ["mouthClose", "mouthPressLeft"], hue: 200 },
  { label: "smile", names: ["mouthSmileLeft", "mouthSmileRight"], hue: 150 },
];
const BROWS: Curve[] = [
  { label: "inner up", names: ["browInnerUp"], hue: 200 },
  { label: "outer up", names: ["browOuterUpLeft", "browOuterUpRight"], hue: 150 },
  { label: "down", names: ["browDownLeft", "browDownRight"], hue: 14 },
];

export class Panel {
  #element = byId("panel");
  #charts = [new Chart(byId<HTMLCanvasElement>("lips"), LIPS), new Chart(byId<HTMLCanvasElement>("brows"), BROWS)];
  #drawnS = 0;

  /** Takes the face that is shown at `nowS`; draws if the panel is open. */
  update(nowS: number, weights: Float32Array, reply: Reply | null, fps: number): void {
    for (const chart of this.#charts) chart.add(nowS, weights);
    if (this.#element.hidden || nowS - this.#drawnS < PERIOD_S) return;
    this.#drawnS = nowS;
    for (const chart of this.#charts) chart.draw(nowS);
    this.#times(reply, fps);
  }

  #times(reply: Reply | null, fps: number): void {
    const { text, face, audio, sound, done } = reply?.timings ?? {};
    const rows: [string, string][] = [
      ["first word", milliseconds(text)],
      ["first face", milliseconds(face)],
      ["first audio", milliseconds(audio)],
      ["first sound heard", milliseconds(sound)],
      ["whole reply", milliseconds(done)],
      ["speech", reply ? `${reply.seconds.toFixed(1)} s` : "–"],
      ["pictures a second", fps.toFixed(0)],
    ];
    const cells = rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
    byId("latencies").replaceChildren(...cells);
  }
}

function milliseconds(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : `${Math.round(value)} ms`;
}

class Chart {
  #points: { atS: number; values: number[] }[] = [];

  constructor(readonly canvas: HTMLCanvasElement, readonly curves: Curve[]) {}

  add(nowS: number, weights: Float32Array): void {
    const values = this.curves.map(({ names }) => Math.max(...names.map((name) => weights[ARKIT_INDEX[name]]!)));
    this.#points.push({ atS: nowS, values });
    while (this.#points[0]!.atS < nowS - SPAN_S) this.#points.shift();
  }

  draw(nowS: number): void {
    const { canvas } = this;
    const ratio = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const ink = getComputedStyle(canvas).color;
    context.font = "11px system-ui, sans-serif";
    context.lineWidth = 1;
    context.globalAlpha = 0.2;
    context.strokeStyle = ink;
    context.strokeRect(0.5, 0.5, width - 1, height - 1);
    let labelAt = 7;
    this.curves.forEach(({ label, hue }, i) => {
      context.globalAlpha = 1;
      context.strokeStyle = context.fillStyle = `hsl(${hue} 65% 52%)`;
      context.lineWidth = 1.8;
      context.beginPath();
      for (const { atS, values } of this.#points) {
        context.lineTo(width * (1 - (nowS - atS) / SPAN_S), (height - 4) * (1 - Math.min(values[i]!, 1)) + 2);
      }
      context.stroke();
      context.fillText(label, labelAt, 14);
      labelAt += context.measureText(label).width + 12;
    });
  }
}
