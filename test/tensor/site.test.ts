import { describe, expect, it } from 'vitest';
import { array } from '../../src/tensor/array.js';
import type { Tensor } from '../../src/tensor/graph.js';
import * as ops from '../../src/tensor/ops/index.js';
import { collectSites, site, withSites } from '../../src/tensor/site.js';
import { arg, run, runAll } from './ops/support.js';

const model = (x: Tensor): Tensor => {
  let h = x;
  for (let i = 0; i < 3; i++) h = site(`layers.${i}.out`, h.mul(2).add(1));
  return site('final', h);
};

describe('sites', () => {
  it('vanish without handlers', () => {
    const x = arg([2]);
    expect(site('x', x)).toBe(x);
  });

  it('are read and replaced', () => {
    const seen: string[] = [];
    const got = run(
      (x) =>
        withSites(
          {
            'layers.*.out': (_h, name) => {
              seen.push(name);
            },
            'layers.1.out': (h) => h.mul(0),
          },
          () => model(x),
        ),
      array([5, 7]),
    );
    expect(seen).toEqual(['layers.0.out', 'layers.1.out', 'layers.2.out']);
    expect(got.data).toEqual([1, 1]);
  });

  it('are handled from the inside out, and no longer than the call', () => {
    const got = run(
      (x) =>
        withSites({ final: (h) => h.add(100) }, () => withSites({ '**': (h, name) => (name === 'final' ? h.mul(0) : h) }, () => model(x))),
      array([5]),
    );
    expect(got.data).toEqual([100]);
    expect(() =>
      withSites(
        {
          final: () => {
            throw new Error('stop');
          },
        },
        () => model(arg([1])),
      ),
    ).toThrow('stop');
    expect(run(model, array([5])).data).toEqual([47]);
  });

  it('are collected by name, also from checkpoints', () => {
    const [result, first, last] = runAll(
      (x) => {
        const { result, values } = collectSites(['layers.0.out', 'final'], () => ops.checkpoint(model)(x));
        return [result, values.get('layers.0.out') as Tensor, values.get('final') as Tensor];
      },
      array([5]),
    );
    expect([result?.data, first?.data, last?.data]).toEqual([[47], [11], [47]]);
  });

  it('are replaced inside a checkpoint by an outer tensor', () => {
    const got = run((x, v) => withSites({ 'layers.2.out': (h) => h.add(v) }, () => ops.checkpoint(model)(x)), array([5]), array([1000]));
    expect(got.data).toEqual([1047]);
  });

  it('report what does not fit', () => {
    expect(() => withSites({ 'layer.0.out': (h) => h }, () => model(arg([1])))).toThrow(
      /no site matches "layer\.0\.out"; sites met: layers\.0\.out,/,
    );
    expect(() => withSites({ final: () => arg([3]) }, () => model(arg([1])))).toThrow(/returned f32\[3\]; it must keep f32\[1\]/);
    expect(() => withSites({}, async () => model(arg([1])))).toThrow(/async/);
    const scanned = (): unknown => ops.scan((c: Tensor, x: Tensor) => [site('inner', c.add(x)), null], { init: arg([]), xs: arg([4]) });
    expect(() => collectSites(['inner'], scanned)).toThrow(/lies inside a scan/);
    expect(() => withSites({ inner: (h) => h.mul(2) }, scanned)).not.toThrow();
  });
});
