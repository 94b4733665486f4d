import { describe, expect, it } from 'vitest';
import { createDataset, type TaskEntry } from '../../../src/data/tasks/index.js';

/** Problems over a wide range of difficulties. */
function problems(name: string, options: Record<string, unknown> = {}): TaskEntry[] {
  const dataset = createDataset(name, { size: 60, seed: 11, split: 'all', ...options });
  return Array.from({ length: dataset.length }, (_, i) => dataset.entry(i));
}

describe('answers, computed from the prompt alone by other means', () => {
  it.each([
    ['addition', '+', (a: bigint, b: bigint) => a + b],
    ['subtraction', '-', (a: bigint, b: bigint) => a - b],
    ['multiplication', '*', (a: bigint, b: bigint) => a * b],
  ] as const)('%s', (name, sign, apply) => {
    for (const e of problems(name, { min_difficulty: 1, max_difficulty: 7 })) {
      const [a = '', b = ''] = e.prompt.slice(0, -1).split(sign);
      expect(Math.max(a.length, name === 'multiplication' ? 0 : b.length)).toBe(e.difficulty);
      expect(e.answer).toBe(`${apply(BigInt(a), BigInt(b))}`);
    }
  });

  it('columns of the scratchpads are true, and the result stands in them', () => {
    for (const e of problems('addition', { max_difficulty: 9 })) {
      const sums = e.steps.map((s) => s.split('=')) as [string, string][];
      for (const [left, right] of sums) expect(left.split('+').reduce((n, x) => n + Number(x), 0)).toBe(Number(right));
      const digits = sums.map(([, sum], i) => (i === sums.length - 1 ? sum : `${Number(sum) % 10}`)).reverse();
      expect(digits.join('')).toBe(e.answer);
    }
    for (const e of problems('subtraction', { max_difficulty: 9 })) {
      const digits = e.steps.map((s) => {
        const [, x, y, z, d, b] = /^(\d)-(\d)-(\d)=(\d)(b?)$/.exec(s) ?? [];
        expect(Number(x) - Number(y) - Number(z) + (b ? 10 : 0)).toBe(Number(d));
        return d;
      });
      expect(Number(digits.reverse().join(''))).toBe(Number(e.answer));
    }
    for (const e of problems('multiplication', { max_difficulty: 5, second_digits: 3 }))
      for (const step of e.steps) {
        const [, x, y, carry, product] = /^(\d)\*(\d)\+(\d)=(\d+)$/.exec(step) ?? [];
        if (x) expect(Number(x) * Number(y) + Number(carry)).toBe(Number(product));
        const [, total, row, sum] = /^(\d+)\+(\d+)=(\d+)$/.exec(step) ?? [];
        if (total) expect(Number(total) + Number(row)).toBe(Number(sum));
      }
  });

  it('chain-arithmetic', () => {
    for (const e of problems('chain-arithmetic', { max_difficulty: 12 })) {
      const [start = '', ...operations] = e.prompt.slice(0, -1).split(',');
      let value = Number(start);
      for (const operation of operations) {
        const operand = Number(operation.slice(1));
        value = operation[0] === '+' ? value + operand : operation[0] === '-' ? value - operand : value * operand;
        expect(value >= 0 && value <= 99).toBe(true);
      }
      expect(operations).toHaveLength(e.difficulty);
      expect(e.answer).toBe(`${value}`);
    }
  });

  it('parity', () => {
    for (const e of problems('parity')) {
      expect(e.prompt).toHaveLength(e.difficulty + 1);
      expect(Number(e.answer)).toBe((e.prompt.split('1').length - 1) % 2);
    }
  });

  it('permutation: exchanges undone from the last to the first give the start', () => {
    for (const e of problems('permutation', { objects: 5 })) {
      const [start, ...exchanges] = e.prompt.slice(0, -1).split(' ');
      const order = [...e.answer];
      for (const [i, j] of exchanges.reverse().map((x) => [Number(x[0]) - 1, Number(x[1]) - 1] as const))
        [order[i], order[j]] = [order[j] as string, order[i] as string];
      expect(exchanges).toHaveLength(e.difficulty);
      expect(order.join('')).toBe(start);
      expect(e.steps.at(-1)).toBe(e.answer);
    }
  });

  it('sorting', () => {
    for (const e of problems('sorting', { max_number: 30 })) {
      const numbers = e.prompt.slice(0, -1).split(' ').map(Number);
      expect(numbers).toHaveLength(e.difficulty);
      expect(e.answer).toBe(Int32Array.from(numbers).sort().join(' '));
    }
  });

  it('brackets: by deleting matched pairs', () => {
    const reduced = (text: string): string => {
      const next = text.replace(/\(\)|\[\]|\{\}|<>/g, '');
      return next === text ? text : reduced(next);
    };
    const found = { y: 0, n: 0, complete: 0 };
    for (const e of problems('brackets', { types: 4, max_difficulty: 10 })) {
      const text = e.prompt.slice(0, -1);
      if (e.prompt.endsWith('?')) {
        expect(e.answer).toBe(reduced(text) === '' ? 'y' : 'n');
        expect(text).toHaveLength(2 * e.difficulty);
        found[e.answer as 'y' | 'n']++;
      } else {
        expect(e.answer).not.toBe('');
        expect(reduced(text + e.answer)).toBe('');
        expect(e.answer.length).toBeLessThanOrEqual(e.difficulty);
        found.complete++;
      }
    }
    expect(Math.min(found.y, found.n, found.complete)).toBeGreaterThan(4);
  });

  it('graph-path: the shortest distance by relaxing all edges, and no other path is right', () => {
    const options = { extra_nodes: 5, extra_edges: 4, max_difficulty: 6 };
    const dataset = createDataset('graph-path', { size: 1, seed: 0 });
    let longer = 0;
    for (const e of problems('graph-path', options)) {
      const [edgeText = '', ends = ''] = e.prompt.slice(0, -1).split(':');
      const edges = edgeText.split(' ');
      const distance = new Map([[ends[0] as string, 0]]);
      for (let round = 0; round < 26; round++)
        for (const [a, b] of edges.flatMap((x) => [x, `${x[1]}${x[0]}`]) as unknown as [string, string][])
          distance.set(b, Math.min(distance.get(b) ?? Infinity, (distance.get(a) ?? Infinity) + 1));
      expect(distance.get(ends[1] as string)).toBe(e.difficulty);
      expect(e.answer).toHaveLength(e.difficulty + 1);
      // every path without repeated nodes
      const walk = (path: string): string[] => {
        if (path.endsWith(ends[1] as string)) return [path];
        const next = edges.flatMap((x) => (x[0] === path.at(-1) ? [x[1]] : x[1] === path.at(-1) ? [x[0]] : [])) as string[];
        return next.filter((n) => !path.includes(n)).flatMap((n) => walk(path + n));
      };
      const paths = walk(ends[0] as string);
      expect(paths.filter((path) => dataset.score(path, e) === 1).sort()).toEqual(
        paths.filter((p) => p.length === e.difficulty + 1).sort(),
      );
      const lenient = { ...e, metadata: { ...e.metadata, shortest: false } };
      expect(paths.filter((path) => dataset.score(path, lenient) !== 1)).toEqual([]);
      longer += paths.filter((p) => p.length > e.difficulty + 1).length;
      expect(dataset.score(`${ends[0]}${ends[1]}`, e)).toBe(e.difficulty === 1 ? 1 : 0);
      expect(dataset.score([...e.answer].reverse().join(''), e)).toBe(0);
    }
    expect(longer).toBeGreaterThan(4);
  });

  it('knights-and-knaves: exactly one of all worlds is possible', () => {
    const says = (text: string, kind: Record<string, boolean>): boolean => {
      if (text[0] === '+') return kind[text[1] as string] === true;
      if (text[0] === '-') return kind[text[1] as string] === false;
      const [p, q] = [kind[text[0] as string] === true, kind[text[2] as string] === true];
      return { '&': p && q, '|': p || q, '=': p === q, '^': p !== q }[text[1] as string] === true;
    };
    for (const e of problems('knights-and-knaves', { max_difficulty: 5 })) {
      const statements = e.prompt.slice(0, -1).split(';');
      const people = [...new Set(statements.map((s) => s[0] as string))];
      expect(people).toHaveLength(e.difficulty);
      const worlds = Array.from({ length: 2 ** people.length }, (_, w) =>
        Object.fromEntries(people.map((p, i) => [p, (w >> i) % 2 === 1])),
      );
      const possible = worlds.filter((kind) => statements.every((s) => says(s.slice(2), kind) === kind[s[0] as string]));
      expect(possible.map((kind) => people.map((p) => (kind[p] ? 'k' : 'n')).join(''))).toEqual([e.answer]);
    }
  });

  it('string-functions: by other definitions of the functions', () => {
    const shift = (s: string, to: string): string => s.replace(/./g, (c) => to['abcde'.indexOf(c)] as string);
    const other: Record<string, (s: string) => string> = {
      zop: (s) => (s === '' ? '' : `${other.zop?.(s.slice(1))}${s[0]}`),
      kiv: (s) => s.replace(/^(.)(.*)$/, '$2$1'),
      mur: (s) => s.replace(/^(.*)(.)$/, '$2$1'),
      dax: (s) => s.repeat(2),
      fep: (s) => s.replace(/^./, ''),
      wug: (s) => s.replace(/.$/, ''),
      lom: (s) => s.replace(/^(.)/, '$1$1'),
      bim: (s) => s.replace(/(.)$/, '$1$1'),
      tas: (s) => s.replace(/^(.)(.*)(.)$/, '$3$2$1'),
      nef: (s) => [...s, ...[...s].reverse()].join(''),
      gol: (s) => shift(s, 'bcdea'),
      rek: (s) => shift(s, 'eabcd'),
      pid: (s) => s.replace(/(.).?/g, '$1'),
      sul: (s) => 'abcde'.replace(/./g, (c) => c.repeat(s.split(c).length - 1)),
      jat: (s) => ['a', s].join(''),
      vop: (s) => s.concat('e'),
    };
    const used = new Set<string>();
    for (const e of problems('string-functions', { size: 200, max_difficulty: 4, max_length: 7 })) {
      const names = e.prompt.match(/[a-z]+(?=\()/g) ?? [];
      const argument = /\(([a-e]*)\)/.exec(e.prompt)?.[1] ?? '';
      expect(names).toHaveLength(e.difficulty);
      expect(e.answer).toBe(names.reduceRight((s, name) => other[name]?.(s) ?? '?', argument));
      for (const name of names) used.add(name);
    }
    expect([...used].sort()).toEqual(Object.keys(other).sort());
    // all functions differ somewhere
    expect(new Set(Object.values(other).map((f) => ['abcde', 'edcba', 'aab', 'bca'].map(f).join())).size).toBe(16);
  });

  it('string-functions: the halves share no function', () => {
    const namesOf = (half: string): Set<string> =>
      new Set(problems('string-functions', { functions: half, size: 200 }).flatMap((e) => e.skills ?? []));
    const [first, second] = [namesOf('first'), namesOf('second')];
    expect([first.size, second.size]).toEqual([8, 8]);
    expect([...first].filter((f) => second.has(f))).toEqual([]);
  });
});
