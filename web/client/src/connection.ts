/** The WebSocket: typed messages, and coming back after a loss. */

import { Emitter } from "./emitter.js";
import { type ClientEvent, parseServerEvent, type ServerEvent } from "./protocol.js";

/** WebSocket close codes: going away, refused by policy, try again later. */
const REFUSED = 1008;
const TRY_LATER = 1013;
const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 20;

export type ConnectionState = "connecting" | "open" | "busy" | "lost" | "refused" | "closed";

interface ConnectionEvents {
  event: ServerEvent;
  /** Where it stands, and in how many seconds it tries again, if it does. */
  state: { state: ConnectionState; retryS: number | null };
}

export class Connection extends Emitter<ConnectionEvents> {
  #socket: WebSocket | null = null;
  #failures = 0;
  #retryAfterS: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly url: string) {
    super();
  }

  open(): void {
    clearTimeout(this.#timer);
    this.#say("connecting");
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(String(data));
    socket.onclose = ({ code }) => {
      if (this.#socket === socket) this.#lose(code);
    };
  }

  close(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#say("closed");
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends an event; returns false where there is no connection. */
  send(event: ClientEvent): boolean {
    if (!this.isOpen) return false;
    this.#socket!.send(JSON.stringify(event));
    return true;
  }

  #receive(text: string): void {
    const event = parseServerEvent(text);
    if (event === null) return;
    if (event.type === "session.created") {
      this.#failures = 0;
      this.#say("open");
    } else if (event.type === "error") {
      this.#retryAfterS = event.error.retry_after ?? null;
    }
    this.emit("event", event);
  }

  #lose(code: number): void {
    this.#socket = null;
    if (code === REFUSED) return this.#say("refused");
    const waitS = this.#retryAfterS ?? Math.min(FIRST_WAIT_S * 2 ** this.#failures, LONGEST_WAIT_S);
    this.#retryAfterS = null;
    this.#failures += 1;
    this.#say(code === TRY_LATER ? "busy" : "lost", waitS);
    this.#timer = setTimeout(() => this.open(), waitS * 1000);
  }

  #say(state: ConnectionState, retryS: number | null = null): void {
    this.emit("state", { state, retryS });
  }
}
