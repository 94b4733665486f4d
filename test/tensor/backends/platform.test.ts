import { afterEach, describe, expect, it, vi } from 'vitest';
import { array, zeros } from '../../../src/tensor/array.js';
import { parseProfile } from '../../../src/tensor/backends/profile.js';
import type { Backend } from '../../../src/tensor/backends/types.js';
import { binary } from './models.js';

/** A fresh copy of the platform's module, as at the start of a process. */
async function platform(): Promise<typeof import('../../../src/tensor/backends/platformNode.js')> {
  vi.resetModules();
  return await import('../../../src/tensor/backends/platformNode.js');
}

async function sumOn(backend: Backend): Promise<number[]> {
  const z = zeros([2]);
  const session = await backend.createSession(binary('Add'), { device: 'cpu' });
  await session.run([array([1, 2]), array([3, 4])], [z]);
  session.dispose();
  return z.toNumbers();
}

describe('platform', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('prefers the C API', async () => {
    const { availableBackends, defaultBackend } = await platform();
    expect(availableBackends()).toEqual([
      { name: 'ort', library: expect.stringMatching(/^ONNX Runtime 1\.\d+\.\d+, .*onnxruntime/) },
      { name: 'ort-node' },
    ]);
    expect(defaultBackend().name).toBe('ort');
    expect(await sumOn(defaultBackend())).toEqual([4, 6]);
  });

  it('falls back on onnxruntime-node where the library cannot load, and keeps the reason', async () => {
    vi.stubEnv('VITRO_ORT_LIB', '/nonexistent/libonnxruntime.so');
    const { availableBackends, defaultBackend, loadBackend } = await platform();
    const [first, second] = availableBackends();
    expect(first?.problem).toMatch(/cannot load ONNX Runtime's C API.*VITRO_ORT_LIB/s);
    expect(second).toEqual({ name: 'ort-node' });
    expect(defaultBackend().name).toBe('ort-node');
    expect(await sumOn(defaultBackend())).toEqual([4, 6]);
    expect(() => loadBackend('ort').devices()).toThrow('npm install koffi onnxruntime-node');
    expect(() => loadBackend('ort').createSessionSync(binary('Add'), { device: 'cpu' })).toThrow('VITRO_ORT_LIB');
  });

  it('refuses a library that is not ONNX Runtime', async () => {
    vi.stubEnv('VITRO_ORT_LIB', process.execPath);
    const { availableBackends } = await platform();
    expect(availableBackends()[0]?.problem).toContain('cannot load');
  });

  it('names the backends that exist', async () => {
    const { loadBackend } = await platform();
    expect(() => loadBackend('reference')).toThrow('ort, ort-node, ort-web');
    const browser = await import('../../../src/tensor/backends/platformBrowser.js');
    expect(browser.defaultBackend().name).toBe('ort-web');
    expect(browser.loadBackend('ort-web').sync).toBe(false);
    expect(browser.availableBackends()).toEqual([{ name: 'ort-web' }]);
    expect(() => browser.loadBackend('ort')).toThrow('does not run in a browser');
  });

  it('says what onnxruntime-web cannot do', async () => {
    const { loadBackend } = await platform();
    const web = loadBackend('ort-web');
    const options = { device: 'cpu' } as const;
    expect(web.sync).toBe(false);
    expect(() => web.createSessionSync(binary('Add'), options)).toThrow('await');
    const session = await web.createSession(binary('Add'), options);
    expect(() => session.runSync([], [])).toThrow('await');
    expect(() => session.endProfiling()).toThrow('no profile');
    session.dispose();
    await expect(web.createSession(binary('Add'), { ...options, profile: true })).rejects.toThrow('no profile');
    await expect(web.createSession({ ...binary('Add'), modelPath: '.' }, options)).rejects.toThrow('initializers');
  });
});

describe('profile', () => {
  it('reads kernels only, from finished and unfinished traces', () => {
    const kernel = '{"cat":"Node","name":"a_b_kernel_time","dur":7,"args":{"op_name":"Add","provider":"CPUExecutionProvider"}}';
    const other = '{"cat":"Session","name":"model_run","dur":9,"args":{}}';
    const event = { node: 'a_b', op: 'Add', microseconds: 7, provider: 'CPUExecutionProvider' };
    expect(parseProfile(`[\n${other},\n${kernel}\n]\n`)).toEqual([event]);
    expect(parseProfile(`[\n${kernel},\n${kernel},\n`)).toEqual([event, event]);
    expect(() => parseProfile('{"a":')).toThrow('not JSON');
  });
});
