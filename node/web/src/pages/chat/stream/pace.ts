/** Characters that are shown in one frame at most: 60 frames of 1536 a second are more than any model writes. */
export const MOST_A_FRAME = 1536;

/** When the next frame is drawn. In a page that nobody sees no frame is: then a timer stands in. */
export type NextFrame = (drawn: () => void) => void;

/**
 * Text on its way to the screen: the first piece at once, then what has come once a frame, and never so much that a
 * frame takes long.
 */
export class Pace {
  private waiting = "";
  private isAsked = false;
  private hasShown = false;
  private readonly whenEmpty: (() => void)[] = [];

  constructor(
    private readonly show: (text: string) => void,
    private readonly nextFrame: NextFrame = frameOfBrowser,
    private readonly isSeen: () => boolean = () => document.visibilityState === "visible",
  ) {}

  push(text: string): void {
    if (text === "") return;
    this.waiting += text;
    if (!this.hasShown) this.showSome();
    else this.ask();
  }

  /** Resolves once everything that came is shown. */
  drained(): Promise<void> {
    if (this.waiting === "") return Promise.resolve();
    this.ask();
    return new Promise((resolve) => this.whenEmpty.push(resolve));
  }

  private ask(): void {
    if (this.isAsked) return;
    this.isAsked = true;
    this.nextFrame(() => {
      this.isAsked = false;
      this.showSome();
    });
  }

  private showSome(): void {
    const length = this.isSeen() ? lengthOfWhole(this.waiting, MOST_A_FRAME) : this.waiting.length;
    const shown = this.waiting.slice(0, length);
    this.waiting = this.waiting.slice(length);
    this.hasShown = true;
    if (shown !== "") this.show(shown);
    if (this.waiting !== "") this.ask();
    else for (const resolve of this.whenEmpty.splice(0)) resolve();
  }
}

/** At most so many characters, without half of a pair at the end. */
function lengthOfWhole(text: string, most: number): number {
  if (text.length <= most) return text.length;
  return text.charCodeAt(most - 1) >> 10 === 0x36 ? most - 1 : most;
}

function frameOfBrowser(drawn: () => void): void {
  let isDone = false;
  const once = () => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    drawn();
  };
  const timer = setTimeout(once, 250);
  requestAnimationFrame(once);
}
