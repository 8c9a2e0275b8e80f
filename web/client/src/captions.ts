/** Which words of a reply have been said at a moment of its speech. */

import type { SpokenWord } from "./protocol.js";

export interface Caption {
  /** Of the words of the clause that is being said. */
  said: string;
  /** What the clause still holds. */
  rest: string;
}

export class CaptionTrack {
  #clauses: SpokenWord[][] = [];

  /** The words of the next clause. */
  add(words: readonly SpokenWord[]): void {
    if (words.length) this.#clauses.push([...words]);
  }

  /** All words, in the order in which they are said. */
  get words(): SpokenWord[] {
    return this.#clauses.flat();
  }

  /** The clause that is said at `sample`, cut where the voice is; null before the first word. */
  at(sample: number): Caption | null {
    const clause = this.#clauses.findLast((words) => words[0]!.start_sample <= sample);
    if (!clause) return null;
    const said = clause.filter((word) => word.start_sample <= sample);
    const join = (words: SpokenWord[]) => words.map((word) => word.text).join(" ");
    return { said: join(said), rest: join(clause.slice(said.length)) };
  }

  /**
   * How many characters of `text`, the reply as it is written, have been said at `sample`.
   *
   * Words are looked for one after another, since writing may hold more between them than a space.
   */
  charactersSaid(text: string, sample: number): number {
    let place = 0;
    for (const word of this.words) {
      if (word.start_sample > sample) break;
      const found = text.indexOf(word.text, place);
      if (found >= 0) place = found + word.text.length;
    }
    return place;
  }
}
