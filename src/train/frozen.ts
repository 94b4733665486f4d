import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import { VitroError } from '../tensor/errors.js';
import { mapTree, type Tree, treeEntries } from '../tensor/tree.js';
import type { Frozen } from './step.js';

/** What becomes of a model that is read and not trained: it stays as it was at the start, or follows the policy. */
export type FrozenRule =
  | { readonly kind: 'start' }
  /** a copy of the policy, made again after every so many steps */
  | { readonly kind: 'every'; readonly steps: number }
  /** decay * itself + (1 - decay) * policy after every so many steps */
  | { readonly kind: 'average'; readonly decay: number; readonly steps: number };

const copy = (params: ParamTree<NDArray>): ParamTree<NDArray> =>
  mapTree(params as Tree<NDArray>, (p) => p.clone()) as unknown as ParamTree<NDArray>;

function check(name: string, rule: FrozenRule): void {
  if (rule.kind !== 'start' && !(Number.isSafeInteger(rule.steps) && rule.steps > 0))
    throw new VitroError(`${name}: the number of steps between refreshes must be a positive whole number, got ${rule.steps}`);
  if (rule.kind === 'average' && !(rule.decay >= 0 && rule.decay <= 1))
    throw new VitroError(`${name}: the decay must lie in [0, 1], got ${rule.decay}`);
}

/** The models that a loss reads beside the policy: references, histories, old policies. */
export class FrozenModels {
  readonly #current: Record<string, ParamTree<NDArray>> = {};

  /** `start` holds the policy's parameters before the first step, which are copied; `given` replaces them by name. */
  constructor(
    readonly rules: Readonly<Record<string, FrozenRule>>,
    start: ParamTree<NDArray>,
    given: Frozen<NDArray> = {},
  ) {
    let shared: ParamTree<NDArray> | undefined;
    for (const [name, rule] of Object.entries(rules)) {
      check(name, rule);
      const own = given[name];
      if (rule.kind !== 'start') this.#current[name] = copy(own ?? start);
      else if (own) this.#current[name] = own;
      else {
        shared ??= copy(start);
        this.#current[name] = shared;
      }
    }
  }

  get current(): Frozen<NDArray> {
    return this.#current;
  }

  /** What a checkpoint must hold: models that changed since the start. */
  state(): Frozen<NDArray> {
    return Object.fromEntries(Object.entries(this.#current).filter(([name]) => this.rules[name]?.kind !== 'start'));
  }

  restore(state: Frozen<NDArray>): void {
    Object.assign(this.#current, state);
  }

  /** Refreshes what is due after a step. The policy's arrays are read, not kept. */
  after(step: number, policy: ParamTree<NDArray>): void {
    for (const [name, rule] of Object.entries(this.rules)) {
      if (rule.kind === 'start' || step % rule.steps !== 0) continue;
      const decay = rule.kind === 'average' ? rule.decay : 0;
      const fresh = new Map(treeEntries<NDArray>(policy as Tree<NDArray>));
      for (const [path, own] of treeEntries<NDArray>(this.#current[name] as Tree<NDArray>)) {
        const [mine, theirs] = [own.data as Float32Array, fresh.get(path)?.data as Float32Array];
        for (let i = 0; i < mine.length; i++) mine[i] = decay * (mine[i] as number) + (1 - decay) * (theirs[i] as number);
      }
    }
  }
}
