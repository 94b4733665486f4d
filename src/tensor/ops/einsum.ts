import { type Dim, dimEq, shapeStr, sizeOf } from '../dim.js';
import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { iota } from './create.js';
import { eq, mul, where } from './elementwise.js';
import { reshape, transpose } from './movement.js';
import { asTensors, type Operand } from './operand.js';
import { sum } from './reduce.js';

/** A tensor whose axes carry labels, each once. */
interface Labelled {
  readonly x: Tensor;
  readonly labels: readonly string[];
}

/**
 * Einstein summation, e.g. `einsum('bthd,bshd->bhts', q, k)`. One letter an axis; letters that the result lacks are summed;
 * a letter repeated within one operand takes the diagonal. Operands are contracted two at a time from the left, by matmul where a
 * shared letter is summed. There is no ellipsis and no broadcasting of sizes.
 */
export function einsum(equation: string, ...values: Operand[]): Tensor {
  const { terms, result } = parse(equation, values.length);
  const sizes = new Map<string, Dim>();
  let operands = asTensors(...values).map((x, i) => label(equation, x, terms[i] as string[], sizes));
  for (const letter of result)
    if (!sizes.has(letter)) throw new OpError('einsum', `'${equation}': the result's letter '${letter}' is in no operand`);
  while (operands.length > 1) {
    const [a, b, ...rest] = operands as [Labelled, Labelled, ...Labelled[]];
    const needed = new Set([...result, ...rest.flatMap((o) => o.labels)]);
    operands = [
      contract(
        sumOut(a, (l) => needed.has(l) || b.labels.includes(l)),
        sumOut(b, (l) => needed.has(l) || a.labels.includes(l)),
        needed,
        result,
        sizes,
      ),
      ...rest,
    ];
  }
  const last = sumOut(operands[0] as Labelled, (l) => result.includes(l));
  return arrange(last, result).x;
}

function parse(equation: string, count: number): { terms: string[][]; result: string[] } {
  const match = /^([A-Za-z,]*)->([A-Za-z]*)$/.exec(equation.replace(/\s/g, ''));
  if (!match) throw new OpError('einsum', `'${equation}' is not of the form 'ij,jk->ik' (letters and commas, one arrow)`);
  const terms = (match[1] as string).split(',').map((t) => [...t]);
  const result = [...(match[2] as string)];
  if (terms.length !== count) throw new OpError('einsum', `'${equation}' names ${terms.length} operands, got ${count}`);
  if (new Set(result).size !== result.length) throw new OpError('einsum', `'${equation}' repeats a letter in the result`);
  return { terms, result };
}

/** Names the axes of an operand, checks their sizes and takes diagonals of repeated letters. */
function label(equation: string, x: Tensor, letters: readonly string[], sizes: Map<string, Dim>): Labelled {
  if (letters.length !== x.rank)
    throw new OpError(
      'einsum',
      `'${equation}': '${letters.join('')}' names ${letters.length} axes of an operand of shape ${shapeStr(x.shape)}`,
    );
  for (const [i, letter] of letters.entries()) {
    const size = x.shape[i] as Dim;
    const known = sizes.get(letter);
    if (known !== undefined && !dimEq(known, size))
      throw new OpError(
        'einsum',
        `'${equation}': '${letter}' is ${known} in one place and ${size} in another (shape ${shapeStr(x.shape)})`,
      );
    sizes.set(letter, size);
  }
  return diagonal({ x, labels: letters });
}

function diagonal(operand: Labelled): Labelled {
  const { x, labels } = operand;
  const second = labels.findIndex((l, i) => labels.indexOf(l) < i);
  if (second < 0) return operand;
  const first = labels.indexOf(labels[second] as string);
  const index = (axis: number): Tensor =>
    iota(
      x.shape.map((d, i) => (i === axis ? d : 1)),
      axis,
    );
  const kept = sum(where(eq(index(first), index(second)), x, 0), { axis: second });
  return diagonal({ x: kept, labels: labels.filter((_, i) => i !== second) });
}

/** Sums the axes that nothing needs any more. */
function sumOut({ x, labels }: Labelled, keep: (letter: string) => boolean): Labelled {
  const axes = labels.flatMap((l, i) => (keep(l) ? [] : [i]));
  return axes.length === 0 ? { x, labels } : { x: sum(x, { axis: axes }), labels: labels.filter(keep) };
}

const arrange = ({ x, labels }: Labelled, order: readonly string[]): Labelled => ({
  x: transpose(
    x,
    order.map((l) => labels.indexOf(l)),
  ),
  labels: order,
});

/** Contracts two operands over the shared letters that are not needed any more. */
function contract(
  left: Labelled,
  right: Labelled,
  needed: ReadonlySet<string>,
  result: readonly string[],
  sizes: ReadonlyMap<string, Dim>,
): Labelled {
  const rank = (l: string): number => (result.includes(l) ? result.indexOf(l) : result.length);
  const inOrder = (letters: readonly string[]): string[] => [...letters].sort((p, q) => rank(p) - rank(q));
  const freeOf = (a: Labelled, b: Labelled): string[] => inOrder(a.labels.filter((l) => !b.labels.includes(l)));
  // The operand whose free letters come first in the result goes left, which often saves the final transpose.
  const swap = Math.min(...freeOf(right, left).map(rank)) < Math.min(...freeOf(left, right).map(rank));
  const [a, b] = swap ? [right, left] : [left, right];
  const shared = a.labels.filter((l) => b.labels.includes(l));
  const batch = inOrder(shared.filter((l) => needed.has(l)));
  const summed = shared.filter((l) => !needed.has(l));
  const [freeA, freeB] = [freeOf(a, b), freeOf(b, a)];
  const labels = [...batch, ...freeA, ...freeB];
  const dims = (letters: readonly string[]): Dim[] => letters.map((l) => sizes.get(l) as Dim);
  if (summed.length === 0 || (freeA.length === 0 && freeB.length === 0)) {
    const spread = (o: Labelled, all: readonly string[]): Tensor => {
      const own = arrange(
        o,
        all.filter((l) => o.labels.includes(l)),
      ).x;
      return reshape(
        own,
        all.map((l) => (o.labels.includes(l) ? (sizes.get(l) as Dim) : 1)),
      );
    };
    const all = [...labels, ...summed];
    return sumOut({ x: mul(spread(a, all), spread(b, all)), labels: all }, (l) => !summed.includes(l));
  }
  const [x, transA] = matrix(a, batch, freeA, summed, sizes);
  const [y, transB] = matrix(b, batch, summed, freeB, sizes);
  const product = apply('matmul', [x, y], { transA, transB, alpha: 1 });
  return { x: reshape(product, dims(labels)), labels };
}

/** [batch..., rows, columns] of an operand, or [batch..., columns, rows] and true where it already lies so. */
function matrix(
  o: Labelled,
  batch: readonly string[],
  rows: readonly string[],
  columns: readonly string[],
  sizes: ReadonlyMap<string, Dim>,
): [Tensor, boolean] {
  const size = (letters: readonly string[]): Dim => sizeOf(letters.map((l) => sizes.get(l) as Dim));
  const lies = (order: readonly string[]): boolean => order.every((l, i) => o.labels[i] === l);
  const plain = [...batch, ...rows, ...columns];
  const swapped = [...batch, ...columns, ...rows];
  const transposed = !lies(plain) && lies(swapped);
  const x = arrange(o, transposed ? swapped : plain).x;
  const lead = batch.map((l) => sizes.get(l) as Dim);
  return [reshape(x, transposed ? [...lead, size(columns), size(rows)] : [...lead, size(rows), size(columns)]), transposed];
}
