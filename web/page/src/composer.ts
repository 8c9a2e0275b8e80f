/** Writing, talking and interrupting, by mouse, finger and keyboard. */

import type { Conversation, Mood } from "exomni-client";
import { byId, make } from "./dom";

const IDEAS = ["What is the capital of France?", "Tell me about the moon.", "Say something that makes me smile."];
/** Root mean square of a raised voice, which fills the meter. */
const LOUD = 0.18;

export class Composer {
  #form = byId<HTMLFormElement>("composer");
  #text = byId<HTMLTextAreaElement>("text");
  #hold = byId<HTMLButtonElement>("hold");
  #free = byId<HTMLButtonElement>("free");
  #send = byId<HTMLButtonElement>("send");
  #stop = byId<HTMLButtonElement>("stop");
  #notice = byId("notice");
  #held = false;
  #online = false;

  constructor(readonly conversation: Conversation) {
    this.#writing();
    this.#talking();
    document.addEventListener("keydown", (event) => this.#press(event));
    document.addEventListener("keyup", (event) => {
      if (event.code === "Space") this.#release();
    });
    window.addEventListener("blur", () => this.#release());
    conversation.on("level", (level) => {
      const shown = String(Math.min(1, level / LOUD));
      for (const button of [this.#hold, this.#free]) button.style.setProperty("--level", shown);
    });
    conversation.on("connection", ({ state }) => {
      this.#online = state === "open";
      this.#offer();
    });
  }

  /** Says something to the person, or nothing with "". */
  notify(text: string): void {
    this.#notice.textContent = text;
  }

  /** Offers what makes sense now. */
  show(mood: Mood): void {
    const busy = (mood === "speaking" || mood === "thinking") && this.#text.value.trim() === "";
    if (this.#stop.hidden === busy) {
      this.#stop.hidden = !busy;
      this.#send.hidden = busy;
    }
  }

  #writing(): void {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#say(this.#text.value);
    });
    this.#text.addEventListener("keydown", (event) => {
      // While an input method composes, Enter chooses a word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#say(this.#text.value);
    });
    this.#text.addEventListener("input", () => this.#offer());
    this.#stop.addEventListener("click", () => this.conversation.interrupt());
    for (const idea of IDEAS) {
      const button = make("button", { type: "button", textContent: idea });
      button.addEventListener("click", () => this.#say(idea));
      byId("ideas").append(make("li", {}, button));
    }
  }

  #talking(): void {
    this.#hold.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.#hold.setPointerCapture(event.pointerId);
      void this.#listen();
    });
    for (const end of ["pointerup", "pointercancel"]) this.#hold.addEventListener(end, () => this.#release());
    this.#hold.addEventListener("contextmenu", (event) => event.preventDefault());
    this.#hold.addEventListener("keydown", (event) => {
      if (event.code !== "Space" && event.code !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) void this.#listen();
    });
    this.#hold.addEventListener("keyup", () => this.#release());
    this.#free.addEventListener("click", () => void this.#toggleFree());
  }

  #press(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      this.conversation.interrupt();
    } else if (event.code === "Space" && !event.repeat && !isForTyping(event.target)) {
      event.preventDefault();
      void this.#listen();
    }
  }

  #say(text: string): void {
    const words = text.trim();
    if (!words) return;
    if (!this.conversation.say(words)) return this.notify("Not connected yet; your words are still here.");
    this.notify("");
    this.#text.value = "";
    this.#offer();
  }

  async #listen(): Promise<void> {
    if (this.#held || this.conversation.isHandsFree || !this.#online) return;
    this.#held = true;
    this.#hold.classList.add("live");
    this.notify("");
    try {
      await this.conversation.hold();
    } catch (error) {
      this.#release();
      this.notify(microphoneTrouble(error));
    }
  }

  #release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#hold.classList.remove("live");
    if (!this.conversation.release()) this.notify("Hold the button, or Space, for as long as you talk.");
  }

  async #toggleFree(): Promise<void> {
    const on = !this.conversation.isHandsFree;
    this.notify("");
    try {
      await this.conversation.handsFree(on);
    } catch (error) {
      this.notify(microphoneTrouble(error));
    }
    this.#free.classList.toggle("live", this.conversation.isHandsFree);
    this.#free.setAttribute("aria-pressed", String(this.conversation.isHandsFree));
    this.#offer();
  }

  #offer(): void {
    this.#send.disabled = !this.#online || this.#text.value.trim() === "";
    this.#hold.disabled = !this.#online || this.conversation.isHandsFree;
  }
}

function isForTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input, textarea, button, select, summary, a") !== null;
}

function microphoneTrouble(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotFoundError") return "No microphone was found.";
  if (name === "NotAllowedError") return "The browser keeps the microphone back. Allow it beside the address.";
  return `The microphone does not start: ${error instanceof Error ? error.message : String(error)}`;
}
