import { expect, it } from 'vitest';
import { array, zeros } from '../../../src/tensor/array.js';
import { ort } from '../../../src/tensor/backends/ort.js';
import { ortNode } from '../../../src/tensor/backends/ortNode.js';
import { runtime } from '../../../src/tensor/backends/ortRuntime.js';
import { binary } from './models.js';

// In a file, and so a process, of its own: ONNX Runtime keeps the environment that is created first.
it('the C API works where onnxruntime-node was used before, with threads for every session', () => {
  const cpu = { device: 'cpu' } as const;
  const first = ortNode.createSessionSync(binary('Add'), cpu);
  const second = ort.createSessionSync(binary('Add'), cpu);
  expect(runtime().sharedPool).toBe(false);
  for (const session of [first, second, first]) {
    const z = zeros([2]);
    session.runSync([array([1, 2]), array([3, 4])], [z]);
    expect(z.toNumbers()).toEqual([4, 6]);
  }
  first.dispose();
  second.dispose();
});
