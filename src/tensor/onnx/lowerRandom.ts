import { type Dim, dimAdd, dimDiv, dimMul, sizeOf } from '../dim.js';
import { VitroError } from '../errors.js';
import type { Builder, Value } from './builder.js';
import { counter } from './lowerLeaves.js';
import type { LoweringRules } from './rule.js';

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/** ceil(n / 2); for symbolic n an upper bound of at most one block more, since a surplus is cut off. */
function blockCount(n: Dim): Dim {
  if (typeof n === 'number') return Math.ceil(n / 2);
  return dimDiv(n, 2) ?? dimDiv(dimAdd(n, 1), 2) ?? n;
}

/** Threefry-2x32 with 20 rounds on the counter (j, 0), j = 0 .. blocks - 1: the two words of each block, u32 [blocks]. */
function threefry(c: Builder, key: Value, blocks: Dim): [Value, Value] {
  const u32 = (value: number): Value => c.constant('u32', [1], [value]);
  const add = (a: Value, b: Value): Value => c.op('Add', [a, b]);
  const xor = (a: Value, b: Value): Value => c.op('BitwiseXor', [a, b]);
  const shift = (x: Value, by: number, direction: 'LEFT' | 'RIGHT'): Value => c.op('BitShift', [x, u32(by)], { direction });
  const word = (i: number): Value => c.op('Slice', [key, c.ints([i]), c.ints([i + 1]), c.ints([0])]);
  const [k0, k1] = [word(0), word(1)];
  const schedule = [k0, k1, xor(xor(k0, k1), u32(PARITY))] as const;
  let x = add(c.cast(counter(c, blocks, 'i32'), 'u32'), k0);
  // the upper counter word is zero below 2^33 elements, so this word stays one number through the first rotation
  let y = k1;
  for (let round = 0; round < 20; round++) {
    const by = ROTATIONS[round % 8] as number;
    x = add(x, y);
    y = xor(c.op('BitwiseOr', [shift(y, by, 'LEFT'), shift(y, 32 - by, 'RIGHT')]), x);
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      x = add(x, schedule[injection % 3] as Value);
      y = add(y, add(schedule[(injection + 1) % 3] as Value, u32(injection)));
    }
  }
  return [x, y];
}

export const randomRules: LoweringRules<'threefry'> = {
  threefry: (c, node) => {
    const { shape } = node.attrs;
    const n = sizeOf(shape);
    if (typeof n === 'number' && n >= 2 ** 32) throw new VitroError(`threefry: ${n} elements at once; draw fewer than 2^32`);
    const blocks = blockCount(n);
    const words = threefry(c, c.input(node, 0), blocks).map((w) => c.reshape(w, [blocks], [blocks, 1]));
    const all = dimMul(blocks, 2);
    const flat = c.reshape(c.op('Concat', words, { axis: 1 }), [blocks, 2], [all]);
    const exact = all === n || String(all) === String(n) ? flat : c.op('Slice', [flat, c.ints([0]), c.dims([n]), c.ints([0])]);
    return c.reshape(exact, [n], shape);
  },
};
