import { describe, expect, it } from 'vitest';
import { type Completion, DecodeEngine, generate } from '../../src/infer/index.js';
import { liveSessions, type NDArray } from '../../src/tensor/index.js';
import { argmax, nextLogps, tinyModel } from './models.js';

const prompts = [[1], [1, 5, 9, 2, 6], [1, 7, 7], [1, ...Array.from({ length: 66 }, (_, i) => (i * 5) % 29)]].map((p) =>
  Int32Array.from(p),
);
const tiny = tinyModel();
const tokensOf = (all: readonly Completion[]): number[][] => all.map((c) => [...c.tokens]);

describe.each(['reference', 'ort'] as const)('greedy generation (%s)', (backend) => {
  it('equals step-by-step argmax of the whole forward pass, with its log-probabilities and entropies', async () => {
    const all = await generate({
      ...tiny,
      prompts: backend === 'reference' ? prompts.slice(0, 3) : prompts,
      max_completion_length: 5,
      sampling: { temperature: 0 },
      backend,
      threads: 1,
    });
    for (const { prompt, tokens, logps, sampling_logps, entropies, finish_reason } of all) {
      const ids = [...(prompts[prompt] as Int32Array)];
      expect(tokens.length).toBe(5);
      for (const [i, token] of tokens.entries()) {
        const logp = await nextLogps(tiny, ids, backend);
        expect(token).toBe(argmax(logp));
        expect(Math.abs((logps[i] as number) - (logp[token] as number))).toBeLessThan(1e-5);
        const entropy = -logp.reduce((total, l) => total + Math.exp(l) * l, 0);
        expect(Math.abs((entropies[i] as number) - entropy)).toBeLessThan(2e-5);
        expect(sampling_logps[i]).toBe(0);
        ids.push(token);
      }
      expect(finish_reason).toBe('length');
    }
  });
});

describe.each([
  ['sliding windows', { layer_types: ['sliding_attention', 'full_attention'] as const, sliding_window: 3 }],
  ['learned positions', { position_method: 'learned' }],
  ['biases for distance', { position_method: 'alibi' }],
  ['heads that turn in part', { position_settings: { partial_rotary_factor: 0.5 } }],
  ['heads of 8 values', { num_attention_heads: 4, num_key_value_heads: 2 }],
  ['soft-capped scores', { attn_logit_softcapping: 2 }],
  ['a soft-capped head', { final_logit_softcapping: 3 }],
])('a model with %s', (_, change) => {
  it('generates what its forward pass says', async () => {
    const model = tinyModel(change as never);
    const [completion] = await generate({
      ...model,
      prompts: prompts.slice(1, 2),
      max_completion_length: 4,
      sampling: { temperature: 0 },
      threads: 1,
    });
    const ids = [...(prompts[1] as Int32Array)];
    for (const token of (completion as Completion).tokens) {
      expect(token).toBe(argmax(await nextLogps(model, ids, 'ort')));
      ids.push(token);
    }
  });
});

describe('sampling', () => {
  const settings = { ...tiny, max_completion_length: 9, sampling: { temperature: 1.3 }, n: 3, seed: 11, threads: 1 } as const;

  it('repeats bit by bit for a seed, and differs for another', async () => {
    const [a, b, c] = [
      await generate({ ...settings, prompts }),
      await generate({ ...settings, prompts }),
      await generate({ ...settings, prompts, seed: 12 }),
    ];
    expect(b).toEqual(a);
    expect(tokensOf(c)).not.toEqual(tokensOf(a));
    const first = a.slice(0, 3).map((x) => [...x.tokens].join());
    expect(new Set(first).size).toBe(3);
  });

  it('gives a row the same tokens whatever shares its batch, in slots that are refilled as well', async () => {
    const all = await generate({ ...settings, prompts });
    for (const [i, prompt] of prompts.entries()) {
      const alone = await generate({ ...settings, prompts: [prompt], prompt_ids: [i] });
      expect(tokensOf(alone)).toEqual(tokensOf(all.slice(3 * i, 3 * i + 3)));
    }
    const narrow = await generate({ ...settings, prompts, batch_size: 5 });
    expect(tokensOf(narrow)).toEqual(tokensOf(all));
    expect(narrow.map((c) => [c.prompt, c.index])).toEqual(all.map((c) => [c.prompt, c.index]));
  });

  it('gives rows that end at different times what they get alone', async () => {
    const stop_token_ids = [2, 3, 5, 8, 13];
    const all = await generate({ ...settings, prompts, stop_token_ids });
    const free = await generate({ ...settings, prompts });
    expect(new Set(all.map((c) => c.tokens.length)).size).toBeGreaterThan(2);
    for (const [i, { tokens, finish_reason }] of all.entries()) {
      const whole = [...(free[i] as Completion).tokens];
      const at = whole.findIndex((t) => stop_token_ids.includes(t));
      expect([...tokens]).toEqual(at < 0 ? whole : whole.slice(0, at + 1));
      expect(finish_reason).toBe(at < 0 ? 'length' : 'stop');
    }
  });

  it('states the log-probability under the model and under the distribution that was drawn from', async () => {
    const [completion] = await generate({ ...settings, n: 1, prompts: prompts.slice(1, 2) });
    const ids = [...(prompts[1] as Int32Array)];
    for (const [i, token] of (completion as Completion).tokens.entries()) {
      const logp = await nextLogps(tiny, ids, 'ort');
      const cooled = logp.map((l) => l / 1.3);
      const norm = Math.log(cooled.reduce((total, l) => total + Math.exp(l), 0));
      expect(Math.abs(((completion as Completion).logps[i] as number) - (logp[token] as number))).toBeLessThan(1e-5);
      expect(Math.abs(((completion as Completion).sampling_logps[i] as number) - ((cooled[token] as number) - norm))).toBeLessThan(1e-5);
      ids.push(token);
    }
  });

  it('draws tokens as often as the model says', async () => {
    const n = 2000;
    const drawn = await generate({ ...tiny, prompts: prompts.slice(1, 2), n, max_completion_length: 1, batch_size: n, threads: 1 });
    const expected = (await nextLogps(tiny, [...(prompts[1] as Int32Array)], 'ort')).map((l) => n * Math.exp(l));
    const counts = expected.map((_, token) => drawn.filter((c) => c.tokens[0] === token).length);
    // chi-squared over tokens that are expected at least five times, the others together
    const cells = expected.map((e, i) => [e, counts[i] as number] as const);
    const rare = cells.filter(([e]) => e < 5).reduce(([e, c], [f, d]) => [e + f, c + d] as const, [0, 0] as const);
    const counted = [...cells.filter(([e]) => e >= 5), ...(rare[0] > 1 ? [rare] : [])];
    const chi2 = counted.reduce((total, [e, c]) => total + (c - e) ** 2 / e, 0);
    expect(counted.length).toBeGreaterThan(4);
    // 5 standard deviations of a chi-squared distribution
    expect(chi2).toBeLessThan(counted.length + 5 * Math.sqrt(2 * counted.length));
  });
});

describe('a generation', () => {
  it('compiles nothing anew for other temperatures, seeds and numbers of rows', async () => {
    // another number of threads: sessions of its own
    const engine = new DecodeEngine(tiny.model, { threads: 2 });
    const common = { ...tiny, engine, max_completion_length: 3 } as const;
    await generate({ ...common, prompts: prompts.slice(1, 3), sampling: { temperature: 0.7 } });
    const before = liveSessions();
    await generate({ ...common, prompts: prompts.slice(1, 3), n: 4, sampling: { temperature: 1.1 }, seed: 4 });
    expect(liveSessions()).toBe(before);
    engine.dispose();
    expect(liveSessions()).toBeLessThan(before);
  });

  it('computes the prefix of a prompt once for all of its completions, and every step for all rows', async () => {
    class Counting extends DecodeEngine {
      prefilled: number[][] = [];
      steps = 0;
      override prefill(params: never, ids: NDArray, capacity: number) {
        this.prefilled.push([...ids.shape]);
        return super.prefill(params, ids, capacity);
      }
      override step(...args: Parameters<DecodeEngine['step']>) {
        this.steps++;
        return super.step(...args);
      }
    }
    const engine = new Counting(tiny.model, { threads: 1 });
    await generate({ ...tiny, engine, prompts, n: 4, max_completion_length: 6 });
    expect(engine.prefilled).toEqual([
      [2, 16],
      [1, 80],
    ]);
    expect(engine.steps).toBe(6);
    engine.dispose();
  });

  it('ends where the context does', async () => {
    const [completion] = await generate({ ...tiny, prompts: prompts.slice(3), max_completion_length: 500, threads: 1 });
    expect(completion?.tokens.length).toBe(80 - 67);
    expect(completion?.finish_reason).toBe('length');
  });

  it('can be stopped, and goes on afterwards', async () => {
    const abort = new AbortController();
    const tokens: number[] = [];
    const options = { ...tiny, prompts: prompts.slice(0, 2), max_completion_length: 20, threads: 1 } as const;
    const running = generate({
      ...options,
      signal: abort.signal,
      onToken: ({ token }) => {
        tokens.push(token);
        if (tokens.length === 6) abort.abort();
      },
    });
    await expect(running).rejects.toThrow(/abort/i);
    expect(tokens).toHaveLength(6);
    expect(await generate(options)).toHaveLength(2);
  });

  it.each([
    [{ prompts: [new Int32Array(0)] }, /prompt 0 has no tokens/],
    [{ prompts: [Int32Array.of(1, 29)] }, /token 29, but the model knows 29/],
    [{ prompts: [new Int32Array(80)] }, /80 tokens; the model's context of 80/],
    [{ n: 0 }, /n must be a positive whole number, got 0/],
    [{ max_completion_length: 0 }, /max_completion_length/],
    [{ stop: ['x'] }, /stop strings need a tokenizer/],
    [{ sampling: { temperature: -1 } }, /temperature must be a positive number/],
    [{ sampling: { top_p: 1.5 } }, /top_p must be above 0 and at most 1, got 1.5/],
    [{ sampling: [{ method: 'topp' }] }, /did you mean "top-p"/],
    [{ sampling: [{ method: 'top-p', settings: { p: 1 } }] }, /no setting "p"; it has top_p/],
  ])('refuses %j', async (change, message) => {
    await expect(generate({ ...tiny, prompts: prompts.slice(0, 1), max_completion_length: 2, ...change })).rejects.toThrow(message);
  });

  it('says that logits are not finite', async () => {
    const broken = tinyModel();
    const norm = (broken.params as unknown as { norm: { weight: NDArray } }).norm.weight.data as Float32Array;
    norm[0] = Number.NaN;
    await expect(generate({ ...broken, prompts: prompts.slice(0, 1), max_completion_length: 2, threads: 1 })).rejects.toThrow(
      /logits after 1 tokens of prompt 0 are not finite/,
    );
  });
});
