/** The history of the conversation, and the caption under the head. */

import type { Conversation, Moment, Reply } from "exomni-client";
import { byId, icon, make } from "./dom";
import type { Server } from "./server";

/** Turns that stay on the page. */
const KEPT_TURNS = 200;

interface Turn {
  element: HTMLElement;
  said: HTMLElement;
  rest: HTMLElement;
  failure: HTMLElement;
  replay: HTMLButtonElement;
  actions: HTMLElement;
}

export class Chat {
  #log = byId("log");
  #caption = byId("caption");
  #captionSaid = make("span");
  #captionRest = make("span", { className: "rest" });
  #persons = new Map<string, HTMLElement>();
  #turns = new Map<Reply, Turn>();
  #shown: { reply: Reply; characters: number } | null = null;

  constructor(readonly conversation: Conversation, readonly server: Server) {
    conversation.on("person", ({ id, text }) => this.#person(id, text));
    conversation.on("reply", (reply) => this.#begin(reply));
    conversation.on("change", (reply) => this.#change(reply));
  }

  /** Follows the voice: `moment` is what is heard now. */
  follow(moment: Moment | null): void {
    const caption = moment?.reply.captions.at(moment.sample) ?? null;
    if (!caption) {
      if (this.#caption.childNodes.length) this.#caption.replaceChildren();
    } else {
      if (!this.#captionSaid.isConnected) this.#caption.replaceChildren(this.#captionSaid, this.#captionRest);
      write(this.#captionSaid, caption.said);
      write(this.#captionRest, caption.rest && ` ${caption.rest}`);
    }
    if (this.#shown && this.#shown.reply !== moment?.reply) this.#whole(this.#shown.reply);
    if (moment) this.#show(moment.reply, moment.reply.captions.charactersSaid(moment.reply.text, moment.sample));
  }

  #person(id: string, text: string | null): void {
    const known = this.#persons.get(id);
    const element = known ?? make("div", { className: "turn person" });
    element.classList.toggle("unheard", text === null || text === "");
    element.textContent = text === null ? "…" : text || "(nothing that could be understood)";
    if (!known) this.#add(element);
    this.#persons.set(id, element);
  }

  #begin(reply: Reply): void {
    const said = make("span");
    const rest = make("span", { className: "rest" });
    const failure = make("span", { className: "failure" });
    const replay = make("button", { type: "button", title: "Play again" }, icon("replay"), "Replay");
    replay.addEventListener("click", () => this.conversation.replay(reply));
    const save = make("details", {}, make("summary", { title: "Download this reply" }, icon("save"), "Download"));
    const formats = make("ul", { className: "formats", hidden: true });
    save.addEventListener("toggle", () => {
      formats.hidden = !save.open;
      if (save.open) this.#list(formats, reply);
    });
    const actions = make("div", { className: "actions", hidden: true }, replay, save);
    const element = make("div", { className: "turn reply" }, said, rest, failure, actions, formats);
    this.#turns.set(reply, { element, said, rest, failure, replay, actions });
    this.#add(element);
  }

  #change(reply: Reply): void {
    const turn = this.#turns.get(reply);
    if (!turn) return;
    if (reply.cutSample !== null) {
      turn.element.classList.add("cut");
      this.#show(reply, reply.captions.charactersSaid(reply.text, reply.cutSample));
    } else {
      this.#show(reply, this.#shown?.reply === reply ? this.#shown.characters : 0);
    }
    turn.failure.textContent = reply.failure ? `No answer: ${reply.failure}` : "";
    turn.actions.hidden = reply.samples === 0 || (reply.status === "in_progress" && reply.cutSample === null);
    turn.replay.disabled = !reply.canReplay;
    this.#scroll();
  }

  /** Shows a reply with so many of its characters said. */
  #show(reply: Reply, characters: number): void {
    const turn = this.#turns.get(reply);
    if (!turn) return;
    write(turn.said, reply.text.slice(0, characters));
    write(turn.rest, reply.text.slice(characters));
    if (reply.cutSample === null) this.#shown = { reply, characters };
  }

  /** A reply that is not heard any more is shown as said, unless it was cut off. */
  #whole(reply: Reply): void {
    this.#shown = null;
    const turn = this.#turns.get(reply);
    if (reply.cutSample === null && turn && reply.status !== "in_progress") {
      write(turn.said, reply.text);
      write(turn.rest, "");
    }
  }

  #list(formats: HTMLUListElement, reply: Reply): void {
    const items = this.server.formats.map(({ name, suffix, what }) => {
      const link = make("a", { href: this.server.exportUrl(reply.id, name), download: `reply${suffix}` });
      link.append(make("b", {}, name), " ", make("span", {}, what));
      return make("li", {}, link);
    });
    formats.replaceChildren(...items);
    formats.scrollIntoView({ block: "nearest" });
  }

  #add(element: HTMLElement): void {
    document.getElementById("welcome")?.remove();
    this.#log.append(element);
    while (this.#log.childElementCount > KEPT_TURNS) this.#forget(this.#log.firstElementChild!);
    this.#scroll();
  }

  #forget(element: Element): void {
    element.remove();
    for (const [id, each] of this.#persons) if (each === element) this.#persons.delete(id);
    for (const [reply, each] of this.#turns) if (each.element === element) this.#turns.delete(reply);
  }

  #scroll(): void {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}

/** Sets a text only where it is another, so that nothing is laid out again each frame. */
function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
