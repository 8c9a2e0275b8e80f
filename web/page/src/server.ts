/** Where the server is, and what it offers over HTTP. */

export interface Format {
  name: string;
  suffix: string;
  what: string;
}

export class Server {
  /** What a reply can be downloaded as. */
  formats: Format[] = [];
  #base: URL;
  #token: string | null;

  /**
   * @param page address of the page; `?token=` is what the server asked for on its start.
   */
  constructor(page: string) {
    this.#base = new URL("./", page);
    this.#token = new URL(page).searchParams.get("token");
  }

  get realtimeUrl(): string {
    const url = this.#url("v1/realtime");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("model", "nano");
    return url.href;
  }

  exportUrl(responseId: string, format: string): string {
    return this.#url(`v1/exports/${encodeURIComponent(responseId)}/${encodeURIComponent(format)}`).href;
  }

  /** Asks which formats there are. */
  async findFormats(): Promise<void> {
    const answer = await fetch(this.#url("v1/exports"));
    if (answer.ok) this.formats = (await answer.json()) as Format[];
  }

  /**
   * One of the heads that come with the package.
   *
   * @throws Error where the server does not have it.
   */
  async head(name: string): Promise<ArrayBuffer> {
    const answer = await fetch(this.#url(`heads/${name}.glb`));
    if (!answer.ok) throw new Error(`the server has no head "${name}" (${answer.status})`);
    return answer.arrayBuffer();
  }

  #url(path: string): URL {
    const url = new URL(path, this.#base);
    if (this.#token) url.searchParams.set("token", this.#token);
    return url;
  }
}
