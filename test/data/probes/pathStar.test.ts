import { describe, expect, it } from 'vitest';
import { pathStar } from '../../../src/data/probes/index.js';
import { randomKey } from '../../../src/tensor/random/threefry.js';

/** Rows of a batch as lists. */
function rowsOf(settings: Parameters<typeof pathStar>[0], count: number): { inputs: number[]; targets: number[] }[] {
  const probe = pathStar(settings);
  const { inputs, targets } = probe.batch(randomKey(3), 0, count);
  const cut = (x: ArrayLike<number>, b: number): number[] =>
    Array.from({ length: probe.context }, (_, t) => x[b * probe.context + t] as number);
  return Array.from({ length: count }, (_, b) => ({
    inputs: cut(inputs.data as Int32Array, b),
    targets: cut(targets.data as Int32Array, b),
  }));
}

describe('path-star graphs', () => {
  it.each([
    [2, 5, 20],
    [3, 4, 12],
    [2, 2, 3],
  ])('degree %i, paths of %i nodes out of %i: the answer is the one path from start to goal', (degree, path_length, num_nodes) => {
    const edgeCount = degree * (path_length - 1);
    const arms = new Set<number>();
    for (const { inputs, targets } of rowsOf({ degree, path_length, num_nodes }, 64)) {
      const next = new Map<number, number[]>();
      for (let e = 0; e < edgeCount; e++) {
        const [from, to, bar] = inputs.slice(3 * e, 3 * e + 3) as [number, number, number];
        expect(bar).toBe(0);
        next.set(from, [...(next.get(from) ?? []), to]);
      }
      const [start, goal, equals] = inputs.slice(3 * edgeCount, 3 * edgeCount + 3) as [number, number, number];
      expect(equals).toBe(1);
      // a star: `degree` edges leave the start, one every other node that is no end
      expect(next.get(start)?.length).toBe(degree);
      for (const [node, to] of next) if (node !== start) expect(to.length).toBe(1);
      expect(new Set([...next.keys(), ...[...next.values()].flat()]).size).toBe(edgeCount + 1);

      const answer = targets.slice(3 * edgeCount + 2);
      expect(targets.slice(0, 3 * edgeCount + 2).every((x) => x === -1)).toBe(true);
      expect(answer.length).toBe(path_length);
      expect([answer[0], answer.at(-1)]).toEqual([start, goal]);
      for (const [i, node] of answer.slice(1).entries()) expect(next.get(answer[i] as number)).toContain(node);
      // the inputs after = are the answer without its last node
      expect(inputs.slice(3 * edgeCount + 3)).toEqual(answer.slice(0, -1));
      arms.add((next.get(start) as number[]).indexOf(answer[1] as number));
    }
    // the edge that is right comes at no fixed place
    expect(arms.size).toBe(degree);
  });

  it('refuses graphs with more nodes than names', () => {
    expect(() => pathStar({ degree: 3, path_length: 8, num_nodes: 20 })).toThrow(/need 22 nodes/);
  });
});
