/**
 * The tree of LATR (Xing et al. 2025, arXiv:2510.24302) for one problem. Branches take the most probable token; where the second one is nearly as probable it begins a
 * branch of its own, which is given up if, some tokens later, it still resembles its parent.
 */
export interface TreeSettings {
  /** most branches */
  readonly capacity: number;
  /** the second token needs more than this probability, and less than `gap` below the first */
  readonly least: number;
  readonly gap: number;
  /** ages in tokens at which a branch is compared with its parent */
  readonly windows: readonly number[];
  /** edits per token below which it is given up */
  readonly resemblance: number;
  /** tokens after which the tree ends */
  readonly longest: number;
}

/** A token that the policy writes, with what else it might have been. */
export interface Written {
  readonly token: number;
  readonly logp: number;
  readonly entropy: number;
  readonly rival: { readonly token: number; readonly logp: number };
}

/** A branch with its tokens from the beginning; its own begin at `birth`. */
export interface Branch {
  readonly written: Written[];
  readonly birth: number;
  readonly parent: Branch | undefined;
}

/** Levenshtein distance of two runs of tokens. */
export function editDistance(a: readonly number[], b: readonly number[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, x] of a.entries()) {
    const next = [i + 1];
    for (const [j, y] of b.entries())
      next.push(Math.min((row[j + 1] as number) + 1, (next[j] as number) + 1, (row[j] as number) + (x === y ? 0 : 1)));
    row = next;
  }
  return row[b.length] as number;
}

export class LookaheadTree {
  branches: Branch[] = [{ written: [], birth: 0, parent: undefined }];
  /** tokens that every branch has, or fewer where it ended */
  length = 0;
  finished = false;

  constructor(
    readonly settings: TreeSettings,
    readonly eos: ReadonlySet<number>,
  ) {}

  ended({ written }: Branch): boolean {
    const last = written.at(-1);
    return last !== undefined && this.eos.has(last.token);
  }

  /** Goes on as far as the tokens are known. Returns the branches that need more, none when the tree is finished. */
  advance(): Branch[] {
    const { capacity, windows, longest } = this.settings;
    while (!this.finished) {
      const open = this.branches.filter((b) => b.written.length > this.length || !this.ended(b));
      const waiting = open.filter((b) => b.written.length <= this.length);
      if (waiting.length > 0) return waiting;
      const fresh = open.filter((b) => this.#branches(b)).slice(0, capacity - this.branches.length);
      this.branches.push(...fresh.map((b) => this.#rivalOf(b)));
      this.length++;
      this.branches = this.branches.filter((b) => !this.#resemblesParent(b));
      const settled = this.branches.every((b) => b.birth + Math.max(...windows) < this.length);
      const full = this.branches.length >= capacity && settled;
      this.finished = full || this.length >= longest || this.branches.every((b) => this.ended(b) && b.written.length <= this.length);
    }
    return [];
  }

  #branches({ written }: Branch): boolean {
    const { logp, rival } = written[this.length] as Written;
    const [first, second] = [Math.exp(logp), Math.exp(rival.logp)];
    return second > this.settings.least && first - second < this.settings.gap;
  }

  #rivalOf(parent: Branch): Branch {
    const taken = parent.written[this.length] as Written;
    const none = { token: -1, logp: Number.NEGATIVE_INFINITY };
    const written = [...parent.written.slice(0, this.length), { ...taken, ...taken.rival, rival: none }];
    return { written, birth: this.length, parent };
  }

  #resemblesParent({ written, birth, parent }: Branch): boolean {
    const age = this.length - birth;
    if (!parent || !this.settings.windows.includes(age) || !this.branches.includes(parent)) return false;
    const [own, other] = [written, parent.written].map((w) => w.slice(birth, this.length).map((x) => x.token)) as [number[], number[]];
    if (own.length < age || other.length < age || [...own, ...other].some((t) => this.eos.has(t))) return false;
    return editDistance(own, other) / age < this.settings.resemblance;
  }
}
