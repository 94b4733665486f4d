import type { Weights } from './support.js';

/** Attention layers in plain loops over one sequence: the independent side of the methods' tests. */
export type Rows = number[][];
export const rows = (weights: Weights, path: string): Rows => (weights[path] ?? fail(path)).toNested() as Rows;
export const vector = (weights: Weights, path: string): number[] => (weights[path] ?? fail(path)).toNumbers();
function fail(path: string): never {
  throw new Error(`no weight ${path}`);
}

/** Multiplications of a weight with a value since the last reset. */
export const work = { products: 0 };

/** row W (+ bias) */
export function times(row: readonly number[], w: Rows, bias?: readonly number[]): number[] {
  const out: number[] = [];
  for (let j = 0; j < (w[0] as number[]).length; j++) {
    let s = bias?.[j] ?? 0;
    for (let i = 0; i < w.length; i++) s += (row[i] as number) * ((w[i] as number[])[j] as number);
    out.push(s);
  }
  work.products += w.length * out.length;
  return out;
}

export const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((s, x, i) => s + x * (b[i] as number), 0);
export const part = (row: readonly number[], h: number, d: number): number[] => row.slice(h * d, (h + 1) * d);
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Weights of query t over the tokens s <= t: softmax of score(t, s). */
export function causalWeights(t: number, score: (s: number) => number): number[] {
  const e = Array.from({ length: t + 1 }, (_, s) => Math.exp(score(s)));
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / total);
}

/** sum_s p_s v_s */
export function average(p: readonly number[], v: Rows): number[] {
  return (v[0] as number[]).map((_, c) => p.reduce((s, w, i) => s + w * ((v[i] as number[])[c] as number), 0));
}
