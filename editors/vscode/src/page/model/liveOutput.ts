/** What steps print while they run: the newest part of each, at most `KEPT_MAX` characters. Not journaled. */

const KEPT_MAX = 100_000;

export class LiveOutput {
  readonly #texts = new Map<string, string>();

  add(key: string, text: string, droppedBytes: number): void {
    const gap = droppedBytes > 0 ? `\n… ${droppedBytes.toLocaleString("en")} bytes were dropped …\n` : "";
    const whole = (this.#texts.get(key) ?? "") + gap + text;
    this.#texts.set(key, whole.length > KEPT_MAX ? `…${whole.slice(-KEPT_MAX)}` : whole);
  }

  /** Empty when the step printed nothing since the page is open. */
  of(key: string): string {
    return this.#texts.get(key) ?? "";
  }
}
