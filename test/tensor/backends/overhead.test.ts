import { expect, it } from 'vitest';
import { zeros } from '../../../src/tensor/array.js';
import { ort } from '../../../src/tensor/backends/ort.js';
import { binary } from './models.js';

it('costs little per run', async () => {
  const session = ort.createSessionSync(binary('Add'), { device: 'cpu' });
  const inputs = [zeros([8]), zeros([8])];
  const outputs = [zeros([8])];
  const best = async (runs: number, once: () => void | Promise<void>): Promise<number> => {
    let least = Number.POSITIVE_INFINITY;
    for (let repeat = 0; repeat < 5; repeat++) {
      const start = performance.now();
      for (let i = 0; i < runs; i++) await once();
      least = Math.min(least, ((performance.now() - start) * 1000) / runs);
    }
    return least;
  };
  const blocking = async (runs: number, once: () => void): Promise<number> =>
    (await best(5, () => {
      for (let i = 0; i < runs; i++) once();
    })) / runs;
  const sync = await blocking(5000, () => session.runSync(inputs, outputs));
  const fresh = await blocking(1000, () => session.runSync(inputs, [zeros([8])]));
  const asynchronous = await best(1000, () => session.run(inputs, outputs));
  console.log(`one-node run: ${sync.toFixed(2)} us, with a new output ${fresh.toFixed(2)} us, asynchronous ${asynchronous.toFixed(1)} us`);
  expect(sync).toBeLessThan(50);
  expect(fresh).toBeLessThan(200);
  expect(asynchronous).toBeLessThan(1000);
  session.dispose();
});
