import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { datasetFromRows } from '../../src/data/dataset/memory.js';
import { encodeExamples } from '../../src/data/examples/index.js';
import { openModel, requireTokenizer } from '../../src/infer/index.js';
import { RewardScorer } from '../../src/train/reward.js';
import { loadRewardHead } from '../../src/train/rewardFolder.js';
import { temporaryFolder } from '../models/checkpoint/temporaryFolder.js';
import { vitro, vitroWith, writeTinyModel } from './tinyRun.js';

const folder = temporaryFolder();
const base = join(folder, 'base');
const path = (name: string): string => join(folder, name);
const jsonl = (name: string, rows: readonly object[]): Promise<void> =>
  writeFile(path(name), rows.map((row) => JSON.stringify(row)).join('\n'));

const numbers = Array.from({ length: 24 }, (_, i) => i);
beforeAll(async () => {
  await writeTinyModel(base);
  await jsonl(
    'demos.jsonl',
    numbers.map((i) => ({ prompt: `${i}+1=`, completion: String(i + 1) })),
  );
  await writeFile(path('demos.csv'), `prompt,completion\n${numbers.map((i) => `${i}+1=,${i + 1}`).join('\n')}\n`);
  await jsonl(
    'pairs.jsonl',
    numbers.map((i) => ({ prompt: `${i}?`, chosen: 'aaaa', rejected: 'zz' })),
  );
  await writeFile(
    path('marked.csv'),
    `prompt,completion,label\n${numbers.map((i) => `${i}?,${i % 2 ? 'aa,true' : 'zz,false'}`).join('\n')}\n`,
  );
  await jsonl(
    'steps.jsonl',
    numbers.map((i) => ({ prompt: `${i}?`, completions: ['aa', i % 2 ? 'bb' : 'zz'], labels: [true, i % 2 === 1] })),
  );
});

interface Verb {
  readonly verb: string;
  readonly data: string;
  readonly metric: string;
}
const verbs: readonly Verb[] = [
  { verb: 'sft', data: 'demos.jsonl', metric: 'eval_loss' },
  { verb: 'dpo', data: 'pairs.jsonl', metric: 'eval_rewards/accuracies' },
  { verb: 'kto', data: 'marked.csv', metric: 'eval_loss' },
  { verb: 'reward', data: 'pairs.jsonl', metric: 'eval_accuracy' },
];

/** A run of a second: `change` goes after, so that it wins. */
const tiny = (verb: string, data: string, output: string, ...change: string[]): string[] => [
  ...[verb, '--model_name_or_path', base, '--dataset_name', path(data), '--output_dir', path(output), '--threads', '1'],
  ...['--per_device_train_batch_size', '4', '--max_steps', '6', '--logging_steps', '1', '--save_steps', '2', '--learning_rate', '0.003'],
  ...change,
];

const lines = async (output: string): Promise<Record<string, number>[]> =>
  (await readFile(join(path(output), 'metrics.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { step_time: _, tokens_per_second: __, ...rest } = JSON.parse(line);
      return rest;
    });

describe.each(verbs)('vitro $verb', ({ verb, data, metric }) => {
  it('trains, evaluates, saves a model that generates, and does not train again', async () => {
    const { code, out, err } = await vitro(...tiny(verb, data, `${verb}-run`, '--json'));
    expect([code, err]).toEqual([0, expect.stringContaining('6 steps')]);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({ status: 'finished', steps: 6, resumed_step: null, validation_examples: 2, verb });
    expect(Number.isFinite(summary.metrics[metric])).toBe(true);
    const names = await readdir(path(`${verb}-run`));
    for (const name of ['checkpoint-4', 'checkpoint-6', 'config.json', 'model.safetensors', 'run.json', 'tokenizer.json', 'metrics.jsonl'])
      expect(names).toContain(name);
    expect(names.includes('reward_head.safetensors')).toBe(verb === 'reward');
    const run = JSON.parse(await readFile(join(path(`${verb}-run`), 'run.json'), 'utf8'));
    expect(run).toMatchObject({ testbed: verb, status: 'finished', result: summary.metrics, seed: 42 });
    expect((await lines(`${verb}-run`)).map(({ global_step }) => global_step)).toEqual([1, 2, 3, 4, 5, 6, 6]);
    const again = await vitro(...tiny(verb, data, `${verb}-run`));
    expect([again.code, again.out]).toEqual([0, expect.stringContaining('This run had finished')]);
    const generated = await vitro(
      'generate',
      '--model',
      path(`${verb}-run`),
      '--prompt',
      '1+1=',
      '--max_new_tokens',
      '2',
      '--threads',
      '1',
    );
    expect(generated.code).toBe(0);
    const moved = await readFile(join(path(`${verb}-run`), 'model.safetensors'));
    expect(moved.equals(await readFile(join(base, 'model.safetensors')))).toBe(false);
  });

  it('stops at Ctrl-C and goes on to the same bits', async () => {
    const argv = (output: string): string[] => tiny(verb, data, output, '--save_steps', '4');
    await vitro(...argv(`${verb}-whole`));
    const stopped = await vitroWith(argv(`${verb}-stopped`), (text) => {
      if (text.includes('step 3/6')) process.emit('SIGINT');
    });
    expect([stopped.code, stopped.err]).toEqual([130, expect.stringContaining('the same command goes on from there')]);
    const rest = await vitro(...argv(`${verb}-stopped`));
    expect([rest.code, rest.err]).toEqual([0, expect.stringContaining('going on from step 3')]);
    const bytes = (output: string, name: string) => readFile(join(path(output), name));
    for (const name of ['model.safetensors', ...(verb === 'reward' ? ['reward_head.safetensors'] : [])])
      expect((await bytes(`${verb}-stopped`, name)).equals(await bytes(`${verb}-whole`, name))).toBe(true);
    expect(await lines(`${verb}-stopped`)).toEqual(await lines(`${verb}-whole`));
  });

  it('explains itself with examples, losses and their settings', async () => {
    const { code, out } = await vitro(verb, '--help');
    expect(code).toBe(0);
    expect(out).toContain(`vitro ${verb} --model_name_or_path`);
    expect(out).toMatch(/--loss_type <value>/);
    expect(out).toMatch(/A line of \S+\.jsonl: \{"prompt"/);
  });
});

describe('losses and their settings', () => {
  it.each([
    [
      ['sft', 'demos.jsonl', '--loss_type', 'dft+neftune', '--neftune_noise_alpha', '3'],
      'dft+neftune',
      { 'neftune.neftune_noise_alpha': 3 },
    ],
    [
      ['sft', 'demos.jsonl', '--loss_type', 'dft+neftune', '--set', 'neftune.neftune_noise_alpha=2'],
      'dft+neftune',
      { 'neftune.neftune_noise_alpha': 2 },
    ],
    [['dpo', 'pairs.jsonl', '--loss_type', 'sigmoid', '--beta', '0.3'], 'dpo', { 'dpo.beta': 0.3 }],
    [['dpo', 'pairs.jsonl', '--loss_type', 'simpo', '--simpo_gamma', '2'], 'simpo', { 'simpo.simpo_gamma': 2, 'simpo.beta': 2 }],
    [['dpo', 'pairs.jsonl', '--loss_type', 'robust', '--precompute_ref_log_probs'], 'robust', { 'robust.label_smoothing': 0.1 }],
    [['kto', 'marked.csv', '--undesirable_weight', '2'], 'kto', { 'kto.undesirable_weight': 2 }],
    [['reward', 'steps.jsonl', '--loss_type', 'prm', '--aggregate', 'prod'], 'prm', { 'prm.aggregate': 'prod' }],
    [['sft', 'demos.csv', '--packing', '--gradient_accumulation_steps', '2'], 'sft', {}],
  ])('%j', async ([verb = '', data = '', ...more], loss, settings) => {
    const output = [verb, loss, ...more].join('-').replaceAll(/[^\w.-]/g, '');
    const { code, out, err } = await vitro(...tiny(verb, data, output, '--max_steps', '2', '--json', ...more));
    expect([code, err]).toEqual([0, expect.anything()]);
    expect(JSON.parse(out)).toMatchObject({ loss_type: loss, status: 'finished' });
    const { recipe } = JSON.parse(await readFile(join(path(output), 'run.json'), 'utf8'));
    const slot = recipe['sft-loss'] ?? recipe['preference-loss'] ?? recipe['reward-model'];
    expect(slot).toMatchObject({ method: loss, settings });
  });

  it.each([
    [['sft', 'demos.jsonl', '--loss_type', 'dftt'], 'unknown loss_type "dftt"; did you mean "dft"?'],
    [
      ['sft', 'demos.jsonl', '--neftune_noise_alpha', '3'],
      'neftune_noise_alpha: sft has no such setting; it belongs to neftune, e.g. --loss_type sft+neftune',
    ],
    [
      ['sft', 'demos.jsonl', '--loss_type', 'neftune', '--neftune_noise_alpha', 'much'],
      'neftune_noise_alpha: "much" is not allowed; it must be a number',
    ],
    [['sft', 'demos.jsonl', '--loss_type', 'dft+talr'], 'loss_type: dft and talr clash'],
    [['sft', 'demos.jsonl', '--neftune_noise_alhpa', '3'], "unknown option '--neftune_noise_alhpa'; did you mean --neftune_noise_alpha?"],
    [['sft', 'demos.jsonl', '--set', 'max_step=3'], 'unknown key "max_step"; did you mean "max_steps"?'],
    [['dpo', 'pairs.jsonl', '--loss_type', 'kto'], 'use "vitro kto"'],
    [['kto', 'marked.csv', '--loss_type', 'simpo'], 'use "vitro dpo"'],
    [['dpo', 'demos.jsonl'], 'has no column "chosen"'],
    [['sft', 'pairs.jsonl'], 'has no column "text"'],
    [['sft', 'absent.jsonl'], 'no such file'],
    [['sft', 'demos.jsonl', '--max_length', '1000'], 'max_length: 1000 is longer than the context of base, 96'],
    [['sft', 'demos.jsonl', '--optim', 'adamv'], 'unknown optimizer "adamv"'],
    [['sft', 'demos.jsonl', '--model_name_or_path', 'absent'], 'absent'],
  ])('refuses %j', async ([verb = '', data = '', ...more], message) => {
    const { code, out, err } = await vitro(...tiny(verb, data, 'refused', ...more));
    expect(err.replaceAll('\n', ' ')).toContain(message);
    expect(code).toBeGreaterThan(0);
    expect(out).toBe('');
  });

  it('asks for a model and for data', async () => {
    expect((await vitro('sft')).err).toContain('no model to start from; give model_name_or_path');
    expect((await vitro('sft', '--model_name_or_path', base)).err).toContain('no data to train on; give dataset_name');
  });

  it('says in a dry run what would run', async () => {
    const { code, out } = await vitro(
      ...tiny('dpo', 'pairs.jsonl', 'dry', '--num_train_epochs', '2', '--set', 'max_steps=null', '--dry_run', '--json'),
    );
    expect(code).toBe(0);
    // 22 pairs for training, 4 a step
    expect(JSON.parse(out).figures).toMatchObject({ examples: 22, validation_examples: 2, steps: 11, rows: 8 });
  });
});

describe('conversations', () => {
  const template = '{% for m in messages %}<{{ m.role }}>{{ m.content }};{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}';
  it('reads messages and ShareGPT with a template, which is saved with the model', async () => {
    await writeFile(path('chat.jinja'), template);
    await jsonl(
      'sharegpt.jsonl',
      numbers.map((i) => ({
        conversations: [
          { from: 'human', value: `${i}` },
          { from: 'gpt', value: 'yes' },
        ],
      })),
    );
    const without = await vitro(...tiny('sft', 'sharegpt.jsonl', 'chat'));
    expect([without.code, without.err]).toEqual([2, expect.stringContaining('give chat_template_path')]);
    const { code, err } = await vitro(...tiny('sft', 'sharegpt.jsonl', 'chat', '--chat_template_path', path('chat.jinja')));
    expect([code, err]).toEqual([0, expect.anything()]);
    expect(requireTokenizer(await openModel(path('chat'))).config.chat_template).toBe(template);
  });
});

describe('a saved reward model', () => {
  it.each([
    ['pairs.jsonl', 'bradley-terry', 'preference'],
    ['steps.jsonl', 'prm', 'stepwise'],
  ] as const)('scores as it did in training: %s', async (data, loss, kind) => {
    const output = `judge-${loss}`;
    const trained = await vitro(...tiny('reward', data, output, '--loss_type', loss, '--max_steps', '30', '--json'));
    const { metrics } = JSON.parse(trained.out);
    const opened = await openModel(path(output));
    const head = await loadRewardHead(path(output), opened.model);
    expect(head.json).toMatchObject({ reward_model: loss, data: kind === 'stepwise' ? 'steps' : 'pairs', max_length: 96 });
    // what was held out stands in no file, so the whole set is scored: it holds two kinds of examples only, which all look alike
    const text = await readFile(path(data), 'utf8');
    const rows = text.split('\n').map((line) => JSON.parse(line));
    const set = await encodeExamples(datasetFromRows(rows), requireTokenizer(opened), { kind, max_length: 96 });
    const scorer = new RewardScorer(opened.model, head.patched, { params: opened.params, own: head.own }, { threads: 1 });
    const scores = await scorer.score(set, { batch_size: 8, context: 32 });
    scorer.dispose();
    if (kind === 'preference') {
      expect(scores.every(([better = 0, worse = 0]) => better > worse)).toBe(true);
      expect(metrics.eval_accuracy).toBe(1);
    } else {
      const mean = (odd: number): number => {
        const own = scores.filter((_, i) => i % 2 === odd).map(([s = 0]) => s);
        return own.reduce((a, b) => a + b, 0) / own.length;
      };
      expect(mean(1)).toBeGreaterThan(mean(0) + 0.3);
    }
  });
});
