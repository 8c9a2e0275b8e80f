/** A server, a clock and a loudspeaker that the tests can see into. */

import client from "../../../tests/serve/fixtures/client_events.json";
import conversation from "../../../tests/serve/fixtures/conversation.json";
import others from "../../../tests/serve/fixtures/server_events.json";
import type { ClientEvent, ServerEvent } from "../src/index.js";

export const CLIENT_EVENTS = client as unknown as ClientEvent[];
export const CONVERSATION = conversation as unknown as ServerEvent[];
export const SERVER_EVENTS = [...conversation, ...others] as unknown as ServerEvent[];

export class FakeSocket {
  static readonly OPEN = 1;
  static last: FakeSocket;
  static opened = 0;
  readyState = FakeSocket.OPEN;
  sent: ClientEvent[] = [];
  onmessage: (event: { data: string }) => void = () => {};
  onclose: (event: { code: number }) => void = () => {};

  constructor(readonly url: string) {
    FakeSocket.last = this;
    FakeSocket.opened += 1;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = 3;
  }

  say(...events: object[]): void {
    for (const event of events) this.onmessage({ data: JSON.stringify(event) });
  }

  lose(code: number): void {
    this.readyState = 3;
    this.onclose({ code });
  }

  /** Types of what the client sent since the last call. */
  types(): string[] {
    return this.sent.splice(0).map((event) => event.type);
  }
}

export class FakeSource {
  buffer: { length: number } | null = null;
  startS: number | null = null;
  stopS: number | null = null;
  connect(next: object): object {
    return next;
  }
  start(atS: number): void {
    this.startS = atS;
  }
  stop(atS: number): void {
    this.stopS = atS;
  }
}

export class FakeAudioContext {
  static last: FakeAudioContext;
  currentTime = 10;
  outputLatency = 0.02;
  baseLatency = 0.005;
  state = "running";
  destination = {};
  sources: FakeSource[] = [];
  gains: { gain: { values: [number, number][] } }[] = [];

  constructor() {
    FakeAudioContext.last = this;
  }
  createBuffer(_channels: number, length: number): object {
    return { length, copyToChannel() {} };
  }
  createBufferSource(): FakeSource {
    this.sources.push(new FakeSource());
    return this.sources.at(-1)!;
  }
  createGain(): object {
    const values: [number, number][] = [];
    const set = (value: number, atS: number) => void values.push([value, atS]);
    const parameter = { values, setValueAtTime: set, linearRampToValueAtTime: set };
    const gain = { gain: parameter, connect: (next: object) => next };
    this.gains.push(gain);
    return gain;
  }
  createAnalyser(): object {
    return { fftSize: 0, connect: (next: object) => next, getFloatTimeDomainData() {} };
  }
  async resume(): Promise<void> {}
  async close(): Promise<void> {}
}
