import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openCheckpoint } from '../../../src/models/checkpoint/open.js';
import { writeSafetensors } from '../../../src/models/checkpoint/safetensorsWrite.js';
import { allocate } from '../../../src/tensor/index.js';
import { temporaryFolder } from './temporaryFolder.js';

const folder = temporaryFolder();

it('loads a checkpoint within 1.3 times its size in memory', async () => {
  const path = join(folder, 'large.safetensors');
  const shapes: [string, number[]][] = Array.from({ length: 12 }, (_, i) => [`layers.${i}`, [i === 0 ? 10_000 : 1500, 1000]]);
  await writeSafetensors(
    path,
    shapes.map(([name, shape]) => [name, { dtype: 'f32' as const, shape, load: async () => allocate('f32', shape) }]),
  );
  const { source } = await openCheckpoint(path);
  const rss = (): number => process.memoryUsage.rss();
  const kept = [await source.read('layers.1', { transpose: true })];
  const before = rss();
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, rss());
  }, 1);
  let bytes = 0;
  for (const [name] of shapes) {
    const tensor = await source.read(name, { transpose: true });
    kept.push(tensor);
    bytes += tensor.data.byteLength;
    peak = Math.max(peak, rss());
  }
  clearInterval(watch);
  expect(kept.length).toBe(shapes.length + 1);
  expect(bytes).toBeGreaterThan(1e8);
  expect((peak - before) / bytes).toBeLessThan(1.3);
  await source.close();
});
