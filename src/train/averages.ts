import type { ParamTree } from '../nn/param.js';
import type { CheckpointMerge } from '../optim/schedule/index.js';
import { type NDArray, zeros } from '../tensor/array.js';
import { compile } from '../tensor/compile/compile.js';
import type { Tensor } from '../tensor/graph.js';
import { mapTree, type Tree, treeEntries, treeUnflatten } from '../tensor/tree.js';

/** Adds up the checkpoints of a run with the weights that its schedule gives them. Without weights it does nothing. */
export class CheckpointMerger {
  readonly #weights: ReadonlyMap<number, number> | undefined;
  readonly #add;
  #sum: ParamTree<NDArray> | undefined;

  constructor(merge: CheckpointMerge | undefined, threads?: number) {
    this.#weights = merge?.weights;
    this.#add = compile(
      (sum: ParamTree<Tensor>, params: ParamTree<Tensor>, weight: Tensor) => {
        const added = treeEntries(sum as Tree<Tensor>).map(([, s]) => s);
        const own = treeEntries(params as Tree<Tensor>).map(([, p]) => p);
        return treeUnflatten(
          sum,
          added.map((s, i) => s.add((own[i] as Tensor).mul(weight))),
        ) as ParamTree<Tensor>;
      },
      { name: 'checkpoint merge', donate: [0], ...(threads === undefined ? {} : { threads }) },
    );
  }

  /** The sum before the first step: zeros in the shape of the model's parameters, or nothing. */
  start(params: ParamTree<NDArray>): ParamTree<NDArray> | undefined {
    if (!this.#weights) return undefined;
    const { objective: _, ...model } = params;
    this.#sum = mapTree(model as Tree<NDArray>, (p) => zeros(p.shape)) as ParamTree<NDArray>;
    return this.#sum;
  }

  state(): ParamTree<NDArray> | undefined {
    return this.#sum;
  }

  restore(sum: ParamTree<NDArray> | undefined): void {
    this.#sum = sum;
  }

  /** Takes the parameters after a finished step into the sum, if the schedule gives that step a weight. */
  async after(step: number, params: ParamTree<NDArray>): Promise<void> {
    const weight = this.#weights?.get(step);
    if (!this.#sum || !weight) return;
    const { objective: _, ...model } = params;
    this.#sum = (await this.#add.run(this.#sum as never, model as never, weight)) as unknown as ParamTree<NDArray>;
  }

  /** The merged parameters; undefined where the schedule merges nothing. */
  result(): ParamTree<NDArray> | undefined {
    return this.#sum;
  }

  dispose(): void {
    this.#add.dispose();
  }
}
