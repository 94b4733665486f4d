import { afterEach, describe, expect, it, vi } from 'vitest';
import { type PeerResult, parsePeer, runJaxjs, runTorch, type Skipped } from '../../bench/peers/peers.js';

afterEach(() => vi.unstubAllEnvs());

/** A model initialised near zero predicts every token alike, so its loss starts at ln V; training on one batch lowers it. */
function expectTrains(result: PeerResult | Skipped, vocabulary: number): void {
  if ('skipped' in result) throw new Error(result.skipped);
  const [first, last] = result.losses;
  expect(Math.abs(first - Math.log(vocabulary))).toBeLessThan(0.05);
  expect(last).toBeLessThan(first - 0.02);
  expect(result.params).toBe(19_616); // 64*32 + 2*(2*32 + 32*96 + 32*32 + 32*96 + 48*32) + 32
  expect(result.step_ms).toBeGreaterThan(0);
}

describe('peers of the training benchmark', () => {
  it.each([1, 2] as const)('jax-js trains on %i thread(s)', async (threads) => {
    const result = await runJaxjs('tiny', { steps: 4, threads });
    expectTrains(result, 64);
    expect(result).toMatchObject({ threads, tokens: 32, scaled: false });
  });

  it('PyTorch trains, or its absence is explained', async () => {
    const result = await runTorch('tiny', { steps: 6 });
    if ('skipped' in result) expect(result.skipped).toMatch(/install torch, or set VITRO_PYTHON/);
    else expectTrains(result, 64);
  });

  it('names VITRO_PYTHON where that Python is not there', async () => {
    vi.stubEnv('VITRO_PYTHON', '/nowhere/python');
    expect(await runTorch('tiny')).toEqual({ skipped: expect.stringContaining('the Python named by VITRO_PYTHON') });
  });

  it('explains a failing peer and one that takes too long', async () => {
    expect(await runJaxjs('gpt-9t')).toEqual({ skipped: expect.stringMatching(/usage: jaxjsTrain/) });
    expect(await runJaxjs('tiny', { timeoutMs: 20 })).toEqual({ skipped: expect.stringContaining('did not finish in 0.02 s') });
  });

  it('refuses a line that lacks a field', () => {
    expect(() => parsePeer('{"step_ms": 3, "all_ms": [3], "losses": [1, 2]}')).toThrow(/without the expected fields/);
  });
});
