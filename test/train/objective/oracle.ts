import type { Settings } from '../../../src/contracts/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { compile, NDArray, randomKey, type Tensor } from '../../../src/tensor/index.js';
import { type BatchTensors, batchView, type ObjectiveMethod } from '../../../src/train/objective/index.js';
import { perturb } from '../../../src/train/objective/ropePerturbed.js';
import { batchOf, contextOf, model, once, type Rows } from './support.js';

/** The losses again, in plain loops over hidden states: the only part that the engine computes here is the model. */

type Vector = readonly number[];
type Matrix = readonly Vector[];

/** What the model and a method's own layers make of a batch. */
export interface States {
  /** [B][T][D] */
  readonly hidden: readonly Matrix[];
  /** [V][D] */
  readonly table: Matrix;
  /** hidden states of the method's own layers, by name */
  readonly heads: Readonly<Record<string, readonly Matrix[]>>;
  readonly unembed?: { readonly weight: Matrix; readonly bias: Vector };
  readonly perturbed?: { readonly hidden: readonly Matrix[]; readonly positions: Matrix; readonly moved: Matrix };
}

export interface Trees {
  readonly model: ParamTree<NDArray>;
  readonly own: ParamTree<NDArray>;
}

const compileStates = (method: ObjectiveMethod, settings: Settings) =>
  compile(
    (given: { model: ParamTree<Tensor>; own: ParamTree<Tensor> }, batch: BatchTensors, key: Tensor) => {
      const context = contextOf({ params: given.model, own: given.own, batch, key }, settings);
      const hidden = context.hidden();
      const layers = (given.own.heads ?? (given.own.head ? { head: given.own.head } : {})) as ParamTree<Tensor>;
      const view = batchView(batch);
      const heads = Object.fromEntries(
        Object.entries(layers).map(([name, w]) => [name, model.extraLayer.apply(given.model, w as ParamTree<Tensor>, hidden, view)]),
      );
      const other = method.id === 'rope-perturbed' ? perturb(context) : undefined;
      return {
        hidden,
        heads,
        table: model.head(given.model).table,
        ...(given.own.unembed ? { unembed: given.own.unembed } : {}),
        ...(other
          ? {
              perturbed: {
                positions: other.positions,
                moved: other.moved.cast('i32'),
                hidden: context.hidden({ ...view, positions: other.positions }),
              },
            }
          : {}),
      };
    },
    { backend: 'reference' },
  );

const compiled = new Map<string, ReturnType<typeof compileStates>>();

/** Arrays of a tree as nested lists. */
const nested = (x: unknown): unknown =>
  x instanceof NDArray ? x.toNested() : Object.fromEntries(Object.entries(x as object).map(([name, value]) => [name, nested(value)]));

/** Runs the model (and the extra layers among `own`) over a batch, on the float64 reference. */
export async function statesOf(method: ObjectiveMethod, settings: Settings, trees: Trees, rows: Rows, key: number): Promise<States> {
  const states = once(() => compileStates(method, settings), compiled, method.id, settings);
  return nested(await states.run(trees as never, batchOf(rows) as never, randomKey(key))) as States;
}

const dot = (a: Vector, b: Vector): number => a.reduce((s, x, i) => s + x * (b[i] as number), 0);
const mean = (x: Vector): number => (x.length === 0 ? 0 : x.reduce((a, b) => a + b, 0) / x.length);

function logProbabilities(table: Matrix, h: Vector): number[] {
  const logits = table.map((row) => dot(row, h));
  const top = Math.max(...logits);
  const normaliser = top + Math.log(logits.reduce((s, z) => s + Math.exp(z - top), 0));
  return logits.map((z) => z - normaliser);
}

/** Positions that count, with the targets that come after each in the same document: `ahead[j]` is undefined where there is none. */
function counted({ targets, segment_ids }: Rows): { b: number; t: number; target: number; ahead: (number | undefined)[] }[] {
  return targets.flatMap((row, b) =>
    row.flatMap((target, t) => {
      if (target < 0) return [];
      const ahead = row.slice(t).map((token, j) => (token >= 0 && segment_ids?.[b]?.[t + j] === segment_ids?.[b]?.[t] ? token : undefined));
      return [{ b, t, target, ahead }];
    }),
  );
}

const at = (states: readonly Matrix[], b: number, t: number): Vector => (states[b] as Matrix)[t] as Vector;

const nextLoss = ({ hidden, table }: States, rows: Rows): number =>
  mean(counted(rows).map(({ b, t, target }) => -(logProbabilities(table, at(hidden, b, t))[target] as number)));

function mtpLoss(states: States, rows: Rows, settings: Settings): number {
  let loss = nextLoss(states, rows);
  for (let i = 2; i <= Number(settings.window); i++) {
    const terms = counted(rows).flatMap(({ b, t, ahead }) => {
      const token = ahead[i - 1];
      return token === undefined
        ? []
        : [-(logProbabilities(states.table, at(states.heads[i] as readonly Matrix[], b, t))[token] as number)];
    });
    loss += Number(settings.weight) * mean(terms);
  }
  return loss;
}

function fspLoss(states: States, rows: Rows, settings: Settings): number {
  const { weight, bias } = states.unembed as { readonly weight: Matrix; readonly bias: Vector };
  const documents = rows.targets.map((row) => new Set(row.filter((x) => x >= 0)));
  const importance = weight.map((_, v) =>
    settings.token_weights === 'idf' ? 1 + Math.log((documents.length + 1) / (documents.filter((d) => d.has(v)).length + 1)) : 1,
  );
  const terms = counted(rows).flatMap(({ b, t, ahead }) => {
    const bag = new Set(ahead.slice(1, Number(settings.window)).filter((x) => x !== undefined));
    if (bag.size === 0) return [];
    const h = at(states.heads.head as readonly Matrix[], b, t);
    const losses = weight.map((row, v) => {
      const z = dot(row, h) + (bias[v] as number);
      return (importance[v] as number) * -Math.log(1 / (1 + Math.exp(bag.has(v) ? -z : z)));
    });
    return [losses.reduce((x, y) => x + y, 0) / importance.reduce((x, y) => x + y, 0)];
  });
  return nextLoss(states, rows) + Number(settings.weight) * mean(terms);
}

/** Solves A x = b by elimination with row exchanges. */
function solve(A: readonly number[][], b: readonly number[]): number[] {
  const n = b.length;
  const m = A.map((row, i) => [...row, b[i] as number]);
  for (let c = 0; c < n; c++) {
    const p = m.reduce(
      (best, row, r) => (r >= c && Math.abs(row[c] as number) > Math.abs((m[best] as number[])[c] as number) ? r : best),
      c,
    );
    [m[c], m[p]] = [m[p] as number[], m[c] as number[]];
    const pivot = m[c] as number[];
    for (const [r, row] of m.entries())
      if (r !== c) m[r] = row.map((x, i) => x - ((row[c] as number) / (pivot[c] as number)) * (pivot[i] as number));
  }
  return m.map((row, i) => (row[n] as number) / (row[i] as number));
}

/** beta of a bag of token rows; `there` says which of its places hold a token. */
function bagRelevance(tokens: readonly (Vector | undefined)[], bandwidth: number, restart: number): number[] {
  const k = tokens.length;
  const columns = (f: (i: number, j: number, a: Vector, b: Vector) => number): number[][] => {
    const m = tokens.map((a, i) => tokens.map((b, j) => (a && b ? f(i, j, a, b) : 0)));
    const totals = tokens.map((_, j) => m.reduce((s, row) => s + (row[j] as number), 0));
    return m.map((row) => row.map((x, j) => (totals[j] === 0 ? 0 : x / (totals[j] as number))));
  };
  const near = columns((i, j) => Math.exp(-((i - j) ** 2) / (2 * bandwidth ** 2)));
  const meaning = columns((_i, _j, a, b) => Math.exp(dot(a, b)));
  const A = near.map((row, i) =>
    row.map((_, j) => (i === j ? 1 : 0) - (1 - restart) * row.reduce((s, x, l) => s + x * ((meaning[l] as number[])[j] as number), 0)),
  );
  return solve(
    A,
    Array.from({ length: k }, (_, i) => (i === 0 ? 1 : 0)),
  );
}

/** `frozen` are the states from which the weights are made: they carry no gradient. */
function nextTobeLoss(states: States, frozen: States, rows: Rows, settings: Settings): number {
  const number = (name: string): number => Number(settings[name]);
  const k = number('window');
  const terms = counted(rows).map(({ b, t, ahead }) => {
    const bag = Array.from({ length: k }, (_, j) => ahead[j]);
    const before = logProbabilities(frozen.table, at(frozen.hidden, b, t));
    const now = logProbabilities(states.table, at(states.hidden, b, t));
    const beta = bagRelevance(
      bag.map((x) => (x === undefined ? undefined : (frozen.table[x] as Vector))),
      number('bandwidth'),
      number('restart'),
    );
    const look = bag.flatMap((x, j) => (x === undefined || j === 0 ? [] : [{ x, j }]));
    const raw = look.map(({ x, j }) => {
      const p = Math.exp(before[x] as number);
      return p < number('epsilon') ? 0 : p ** number('gamma') * (beta[j] as number);
    });
    const total = raw.reduce((x, y) => x + y, 0);
    const mass = look.reduce((s, { x }) => s + Math.exp(now[x] as number), 0);
    return total === 0 ? 0 : look.reduce((s, { x }, i) => s - ((raw[i] as number) / total) * ((now[x] as number) - Math.log(mass)), 0);
  });
  return nextLoss(states, rows) + number('weight') * mean(terms);
}

function ropePerturbedLoss(states: States, frozen: States, rows: Rows, settings: Settings): number {
  const { hidden, moved } = states.perturbed as NonNullable<States['perturbed']>;
  const perRow = rows.targets.map((_, b) =>
    counted(rows)
      .filter((c) => c.b === b && moved[b]?.[c.t] === 1)
      .map(({ t }) => {
        const teacher = logProbabilities(frozen.table, at(frozen.hidden, b, t));
        const student = logProbabilities(states.table, at(hidden, b, t));
        return student.reduce((s, p, v) => s + Math.exp(p) * (p - (teacher[v] as number)), 0);
      }),
  );
  return nextLoss(states, rows) + Number(settings.weight) * mean(perRow.filter((r) => r.length > 0).map(mean));
}

/** The loss of each method in loops: of the states, with what carries no gradient taken from `frozen`. */
export const oracles: Readonly<Record<string, (states: States, frozen: States, rows: Rows, settings: Settings) => number>> = {
  'next-token': (states, _frozen, rows) => nextLoss(states, rows),
  mtp: (states, _frozen, rows, settings) => mtpLoss(states, rows, settings),
  fsp: (states, _frozen, rows, settings) => fspLoss(states, rows, settings),
  'next-tobe': nextTobeLoss,
  'rope-perturbed': ropePerturbedLoss,
};
