/** The cards over the stage: which head, which emotion, light or dark. */

import { type Conversation, type Emotion, EMOTIONS, type EmotionName, type FaceOptions } from "exomni-client";
import { byId, make } from "./dom";
import { Head } from "./head";
import type { Life } from "./life";
import type { Server } from "./server";
import type { Stage } from "./stage";

const THEME = "exomni-theme";
/** Sliders send what they show when they have rested this long. */
const REST_MS = 150;

/** Buttons that open a card each; one card is open at a time. */
export function openCards(): void {
  const buttons = ["heads-button", "mood-button", "panel-button"].map((id) => byId<HTMLButtonElement>(id));
  const show = (open: HTMLButtonElement | null) => {
    for (const button of buttons) {
      button.setAttribute("aria-expanded", String(button === open));
      byId(button.getAttribute("aria-controls")!).hidden = button !== open;
    }
  };
  for (const button of buttons) {
    button.addEventListener("click", () => show(button.getAttribute("aria-expanded") === "true" ? null : button));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") show(null);
  });
}

/** Light, dark, or as the system has it until somebody chooses. */
export function chooseTheme(): void {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = localStorage.getItem(THEME);
  if (chosen) root.dataset["theme"] = chosen;
  byId("theme-button").addEventListener("click", () => {
    const isDark = (root.dataset["theme"] ?? (dark.matches ? "dark" : "light")) === "dark";
    root.dataset["theme"] = isDark ? "light" : "dark";
    localStorage.setItem(THEME, root.dataset["theme"]);
  });
}

/** Emotion sliders and speed, which hold for the replies to come. */
export function feel(conversation: Conversation, life: Life): void {
  const auto = byId<HTMLInputElement>("emotion-auto");
  const sliders = new Map<EmotionName, HTMLInputElement>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let waiting: FaceOptions = {};
  const later = (options: FaceOptions) => {
    waiting = { ...waiting, ...options };
    clearTimeout(timer);
    timer = setTimeout(() => {
      conversation.configure(waiting);
      waiting = {};
    }, REST_MS);
  };
  const apply = () => {
    const emotion = Object.fromEntries([...sliders].map(([name, input]) => [name, input.valueAsNumber])) as Emotion;
    life.emotion = auto.checked ? null : emotion;
    later({ emotion: life.emotion });
  };
  for (const name of EMOTIONS) {
    const input = make("input", { type: "range", min: "0", max: "1", step: "0.05", value: "0", name });
    const output = make("output", { textContent: "0%" });
    input.addEventListener("input", () => {
      output.textContent = `${Math.round(input.valueAsNumber * 100)}%`;
      auto.checked = false;
      apply();
    });
    sliders.set(name, input);
    const label = make("span", { textContent: title(name) });
    byId("emotions").append(make("label", { className: "slider" }, label, input, output));
  }
  auto.addEventListener("change", apply);
  const speed = byId<HTMLInputElement>("speed");
  speed.addEventListener("input", () => {
    speed.nextElementSibling!.textContent = `${speed.valueAsNumber.toFixed(2)}×`;
    later({ speed: speed.valueAsNumber });
  });
}

/** The choice of heads, and files that are dropped on the page. */
export class HeadChoice {
  #report = byId("head-report");
  #own = byId("own-head");
  #dropped: File | null = null;
  #wanted = 0;

  constructor(readonly stage: Stage, readonly server: Server) {
    for (const input of document.querySelectorAll<HTMLInputElement>("input[name=head]")) {
      input.addEventListener("change", () => void this.choose(input.value));
    }
    const file = byId<HTMLInputElement>("head-file");
    file.addEventListener("change", () => {
      if (file.files?.[0]) void this.bring(file.files[0]);
    });
    this.#dropping();
  }

  /** Shows a head that the server has, or ("own") the file that was brought. */
  async choose(name: string): Promise<void> {
    if (name === "own") return void (this.#dropped && (await this.bring(this.#dropped)));
    await this.#load(name, () => this.server.head(name));
  }

  /** Shows the head of a person's own file; it stays in the browser. */
  async bring(file: File): Promise<void> {
    if (!(await this.#load(file.name, () => file.arrayBuffer()))) return;
    this.#dropped = file;
    this.#own.hidden = false;
    this.#own.querySelector("span")!.textContent = file.name;
    this.#own.querySelector("input")!.checked = true;
  }

  async #load(name: string, read: () => Promise<ArrayBuffer>): Promise<boolean> {
    const turn = ++this.#wanted;
    try {
      const head = await Head.load(await read());
      if (turn !== this.#wanted) {
        head.dispose();
        return false;
      }
      this.stage.head = head;
      const { missing } = head;
      const shapes = missing.length
        ? `${52 - missing.length} of the 52 shapes; missing: ${missing.join(", ")}`
        : "all 52 shapes";
      this.#report.textContent = `${name}: ${shapes}${head.lacksTextures ? "; without its KTX2 textures" : ""}`;
      return true;
    } catch (error) {
      this.#report.textContent = `${name}: ${error instanceof Error ? error.message : String(error)}`;
      if (byId("heads").hidden) byId("heads-button").click();
      return false;
    }
  }

  #dropping(): void {
    const sign = byId("drop");
    let depth = 0;
    const over = (by: number) => {
      depth = Math.max(0, depth + by);
      sign.classList.toggle("over", depth > 0);
    };
    const hasFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    document.addEventListener("dragenter", (event) => hasFile(event) && over(1));
    document.addEventListener("dragleave", (event) => hasFile(event) && over(-1));
    document.addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
    document.addEventListener("drop", (event) => {
      const file = event.dataTransfer?.files[0];
      if (!file) return;
      event.preventDefault();
      over(-depth);
      void this.bring(file);
    });
  }
}

function title(name: string): string {
  return name[0]!.toUpperCase() + name.slice(1);
}
