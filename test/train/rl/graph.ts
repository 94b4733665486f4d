import type { Settings } from '../../../src/contracts/index.js';
import {
  compile,
  concat,
  exp,
  grad,
  log,
  maximum,
  mul,
  NDArray,
  sub,
  sum,
  type Tensor,
  unsqueeze,
  zerosLike,
} from '../../../src/tensor/index.js';
import type { LossContext, PolicyTensors, TokenLoss } from '../../../src/train/rl/contract.js';
import { sequenceOps } from '../../../src/train/rl/sequenceOps.js';
import { numbers } from './support.js';

/** Tokens of a few sequences in one row each; the last tokens of short ones are padding. */
export interface TokenCase {
  readonly logp: number[][];
  readonly old: number[][];
  /** under the policy before the first update of the step; other than `old` where samples are stale */
  readonly start: number[][];
  readonly reference: number[][];
  readonly advantage: number[][];
  readonly mask: number[][];
  readonly weight: number[][];
  readonly columns: Readonly<Record<string, number[][]>>;
}

export interface CaseOptions {
  readonly lengths?: readonly number[];
  /** largest |log ratio| */
  readonly drift?: number;
  readonly seed?: number;
  /** samples of past policies, some of them replayed; default false */
  readonly stale?: boolean;
}

/** Random tokens; advantages belong to sequences. */
export function tokenCase({ lengths = [3, 1, 4, 2], drift = 0.8, seed = 11, stale = false }: CaseOptions = {}): TokenCase {
  const next = numbers(seed);
  const T = Math.max(...lengths);
  const rows = (f: (b: number, t: number) => number): number[][] =>
    lengths.map((l, b) => Array.from({ length: T }, (_, t) => (t < l ? f(b, t) : 0)));
  const credit = lengths.map((_, b) => (b % 2 === 0 ? 1 : -1) * (0.2 + next()));
  const logp = rows(() => -0.2 - 2 * next());
  const old = rows((b, t) => (logp[b]?.[t] as number) - drift * (2 * next() - 1));
  const reference = rows((b, t) => (logp[b]?.[t] as number) + 0.5 * (2 * next() - 1));
  const late = numbers(seed + 1);
  return {
    logp,
    old,
    start: stale ? rows((b, t) => Math.min(-0.01, (old[b]?.[t] as number) + 0.6 * (2 * late() - 1))) : old,
    reference,
    advantage: rows((b) => credit[b] as number),
    mask: rows(() => 1),
    weight: rows(() => 0.05 + next()),
    columns: {
      cov_keep: rows(() => (next() > 0.3 ? 1 : 0)),
      cov_selected: rows(() => (next() > 0.6 ? 1 : 0)),
      start_logp: reference,
      replayed: rows(() => (stale && late() > 0.4 ? 1 : 0)),
    },
  };
}

const put = (rows: readonly (readonly number[])[]): NDArray =>
  new NDArray('f32', [rows.length, rows[0]?.length ?? 0], Float32Array.from(rows.flat()));

export interface TokenResult {
  /** [B][T] */
  readonly losses: number[][];
  readonly total: number;
  /** gradient of sum(weight * loss) by log-probabilities, [B][T] */
  readonly slope: number[][];
  readonly metrics: Readonly<Record<string, number>>;
}

type Given = Readonly<Record<string, Tensor>>;

/** How the tokens that were not drawn share what is left: token 0 is the drawn one. */
const others = [0.6, 0.3, 0.1];

/** A policy over four tokens that gives the drawn one, token 0, the log-probabilities logp. */
function policyOf(logp: Tensor): PolicyTensors {
  const rest = log(maximum(sub(1, exp(logp)), 1e-30));
  const logits = concat([unsqueeze(logp, 2), ...others.map((share) => unsqueeze(rest.add(Math.log(share)), 2))], 2);
  return {
    logp,
    logits: () => logits,
    entropy: () => mul(logp, -1),
    hidden: () => unsqueeze(logp, 2),
    targets: zerosLike(logp).cast('i32'),
  };
}

/** Runs a token loss in the float64 interpreter, with logits whose log-probabilities are the case's. */
export async function runTokenLoss(
  loss: (context: LossContext) => TokenLoss,
  given: TokenCase,
  settings: Settings = {},
  entropy?: number[][],
): Promise<TokenResult> {
  const B = given.logp.length;
  const T = given.logp[0]?.length ?? 0;
  const places = 8;
  const index = Int32Array.from(given.mask.flatMap((row, b) => row.map((m) => (m > 0 ? b : places - 1))));
  const group = Int32Array.from({ length: places }, (_, s) => (s < B ? s >> 1 : places - 1));
  const knobs = Object.fromEntries(Object.entries(settings).filter(([, v]) => typeof v === 'number')) as Record<string, number>;
  const fn = compile(
    (logp: Tensor, arrays: Given, columns: Given, scalars: Given, at: Given) => {
      const mask = arrays.mask as Tensor;
      const context = {
        policy: policyOf(logp),
        old: policyOf(arrays.start as Tensor),
        old_logp: arrays.old,
        reference_logp: arrays.reference,
        advantage: arrays.advantage,
        mask,
        weight: arrays.weight,
        sequence: sequenceOps(at.index as Tensor, at.group as Tensor, mask),
        knob: (name: string) => scalars[name] as Tensor,
        column: (name: string) => columns[name] as Tensor,
        settings,
      } as unknown as LossContext;
      const { loss: losses, metrics = {} } = loss(context);
      const total = sum(mul(losses, arrays.weight as Tensor));
      return { losses, total, slope: grad(total, logp), metrics };
    },
    { backend: 'reference' },
  );
  const { logp, columns, ...arrays } = given;
  const named = (record: Readonly<Record<string, number[][]>>) => Object.fromEntries(Object.entries(record).map(([k, v]) => [k, put(v)]));
  const out = await fn.run(
    put(logp),
    named(arrays) as never,
    named(entropy ? { ...columns, entropy } : columns) as never,
    knobs as never,
    {
      index: new NDArray('i32', [B, T], index),
      group: new NDArray('i32', [places], group),
    } as never,
  );
  fn.dispose();
  const rows = (x: NDArray) => x.toNested() as number[][];
  return {
    losses: rows(out.losses as NDArray),
    total: (out.total as NDArray).item(),
    slope: rows(out.slope as NDArray),
    metrics: Object.fromEntries(Object.entries(out.metrics as Record<string, NDArray>).map(([k, v]) => [k, v.item()])),
  };
}
