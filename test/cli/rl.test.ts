import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { taskTokenizer } from '../../src/data/tasks/index.js';
import { decoderModel, initModel, saveModel, saveTokenizer } from '../../src/models/index.js';
import { type NDArray, treeEntries } from '../../src/tensor/index.js';
import { temporaryFolder } from '../models/checkpoint/temporaryFolder.js';
import { vitro, vitroWith } from './tinyRun.js';

const folder = temporaryFolder();
const path = (name: string): string => join(folder, name);
const base = path('base');

beforeAll(async () => {
  const tokenizer = taskTokenizer();
  const config = {
    vocab_size: tokenizer.vocab_size,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 16,
    max_position_embeddings: 96,
  };
  const params = initModel(decoderModel(config), 3);
  for (const [, p] of treeEntries<NDArray>(params as never))
    if (p.shape.length > 1) for (let i = 0; i < p.data.length; i++) (p.data as Float32Array)[i] = Number(p.data[i]) * 3;
  await saveModel(base, { config, params, tokens: { eos_token_id: tokenizer.eos_token_id } });
  await saveTokenizer(base, tokenizer);
  const rows = Array.from({ length: 20 }, (_, i) => ({ prompt: `${i}?`, want: String.fromCharCode(97 + (i % 20)) }));
  await writeFile(path('prompts.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  await writeFile(
    path('letters.ts'),
    `const share = (text: string, of: (c: string) => boolean): number => [...text].filter(of).length / Math.max(1, text.length);
export const small = (_: string[], completions: string[]): number[] => completions.map((t) => share(t, (c) => c >= 'a' && c <= 'z'));
export async function wanted(_: string[], completions: string[], columns: { want: string[] }): Promise<(number | null)[]> {
  return completions.map((t, i) => (columns.want[i] === 'a' ? null : Number(t.includes(columns.want[i] as string))));
}
export const note = 'no function';
`,
  );
  const bad: Readonly<Record<string, string>> = {
    nothing: 'export const weight = 1;',
    broken: 'export default (x) => {',
    length: 'export default () => [1];',
    text: "export default (_, completions) => completions.map(() => 'good');",
    nolist: 'export default () => undefined;',
    throws: "export default () => { throw new Error('no such judge'); };",
  };
  for (const [name, text] of Object.entries(bad)) await writeFile(path(`${name}.js`), text);
});

/** A run of a second or two: `change` goes after, so that it wins. */
const tiny = (verb: string, output: string, ...change: string[]): string[] => [
  ...[verb, '--model_name_or_path', base, '--output_dir', path(output), '--threads', '1', '--max_steps', '4', '--save_steps', '2'],
  ...[
    '--prompts_per_step',
    '2',
    '--num_generations',
    '4',
    '--max_completion_length',
    '5',
    '--learning_rate',
    '0.01',
    '--max_eval_samples',
    '4',
  ],
  ...change,
];
const data = ['--dataset_name', path('prompts.jsonl'), '--reward_funcs', path('letters.ts')];

const jsonLines = async (output: string, name: string): Promise<Record<string, unknown>[]> =>
  (await readFile(join(path(output), name), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const metrics = async (output: string) => (await jsonLines(output, 'metrics.jsonl')).map(({ step_time: _, ...rest }) => rest);

describe.each(['grpo', 'rloo'])('vitro %s', (verb) => {
  it('trains on prompts of a file with rewards of a file, and leaves tables and a model that generates', async () => {
    const { code, out, err } = await vitro(
      ...tiny(verb, `${verb}-run`, ...data, '--reward_weights', '1,0.5', '--log_completions', '2', '--json'),
    );
    expect([code, err]).toEqual([0, expect.stringContaining('rewards small + 0.5 wanted')]);
    expect(err).toMatch(/completions of step 2\nprompt +completion +reward +advantage/);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({ status: 'finished', steps: 4, rl: verb, resumed_step: null });
    const { metrics: final, before } = summary;
    // what is held out is measured before and after, by each function and by their weighted sum
    for (const own of [before, final]) expect(own.eval_reward).toBeGreaterThanOrEqual(own['eval_rewards/small/mean']);
    expect(summary.ledger.tokens_generated).toBeGreaterThan(0);
    const lines = await metrics(`${verb}-run`);
    expect(lines.map(({ global_step }) => global_step)).toEqual([0, 1, 2, 3, 4, 4]);
    const rows = await jsonLines(`${verb}-run`, 'completions.jsonl');
    expect(rows).toHaveLength(4 * 2 * 4);
    for (const row of rows) {
      const [small, wanted] = [row['rewards/small'] as number, row['rewards/wanted'] as number | null];
      expect(row.reward).toBeCloseTo(small + 0.5 * (wanted ?? 0), 12);
      expect(row).toMatchObject({ prompt: expect.stringMatching(/\?$/), completion: expect.any(String), advantage: expect.any(Number) });
    }
    const mean = (step: number): number => {
      const own = rows.filter((row) => row.step === step);
      return own.reduce((sum, row) => sum + Number(row.reward), 0) / own.length;
    };
    for (const step of [1, 2, 3, 4]) expect(lines.find((l) => l.global_step === step)?.reward).toBeCloseTo(mean(step), 12);
    expect(await readdir(path(`${verb}-run`))).toEqual(
      expect.arrayContaining(['checkpoint-2', 'checkpoint-4', 'model.safetensors', 'run.json']),
    );
    const generated = await vitro('generate', '--model', path(`${verb}-run`), '--prompt', '1?', '--max_new_tokens', '2', '--threads', '1');
    expect(generated.code).toBe(0);
  });

  it('stops at Ctrl-C and goes on to the same bits, with the same completions', async () => {
    const argv = (output: string): string[] => tiny(verb, output, ...data, '--save_steps', '0', '--eval_steps', '2');
    expect((await vitro(...argv(`${verb}-whole`))).code).toBe(0);
    const stopped = await vitroWith(argv(`${verb}-stopped`), (text) => {
      if (text.includes('step 2/4')) process.emit('SIGINT');
    });
    expect([stopped.code, stopped.err]).toEqual([130, expect.stringContaining('the same command goes on from there')]);
    // what a killed process wrote beyond the checkpoint is cut away
    const table = join(path(`${verb}-stopped`), 'completions.jsonl');
    await writeFile(table, `${await readFile(table, 'utf8')}{"step":3,"prompt":"x"}\n{"step":3,"pro`);
    const rest = await vitro(...argv(`${verb}-stopped`));
    expect([rest.code, rest.err]).toEqual([0, expect.stringContaining('going on from step 2')]);
    for (const name of ['model.safetensors', 'completions.jsonl'])
      expect((await readFile(join(path(`${verb}-stopped`), name))).equals(await readFile(join(path(`${verb}-whole`), name))), name).toBe(
        true,
      );
    expect(await metrics(`${verb}-stopped`)).toEqual(await metrics(`${verb}-whole`));
  });

  it('explains itself with examples, settings, methods, tasks and the form of a reward', async () => {
    const { code, out } = await vitro(verb, '--help');
    expect(code).toBe(0);
    for (const text of [
      'run as your own code',
      '--task countdown',
      'export default (prompts',
      'clip-higher',
      '--num_generations',
      'chain-arithmetic',
    ])
      expect(out).toContain(text);
  });
});

describe('tasks', () => {
  it('come with their verifier and a test split, and take settings; --profile shows where the time went', async () => {
    const task = [
      '--task',
      'addition',
      '--task_settings',
      '{"min_difficulty": 1, "max_difficulty": 1}',
      '--task_size',
      '20',
      '--profile',
      '--max_steps',
      '2',
    ];
    const { code, out, err } = await vitro(...tiny('grpo', 'task', ...task));
    expect([code, err]).toEqual([0, expect.stringContaining('20 problems (4 more are only measured)')]);
    expect(out).toMatch(/Reward of the held-out problems: 0\.\d+ . 0\.\d+ before, 0\.\d+ . 0\.\d+ after/);
    expect(out).toMatch(/where +seconds +share/);
    for (const name of ['decode', 'prefill', 'train', 'outside', 'steps']) expect(out).toMatch(new RegExp(`^${name} +\\d`, 'm'));
    const [row] = await jsonLines('task', 'completions.jsonl');
    expect(row).toHaveProperty('rewards/verifier');
    const wrong = await vitro(...tiny('grpo', 'no', '--task', 'addition', '--task_settings', '{"max_dificulty": 1}'));
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('did you mean max_difficulty?')]);
    expect((await vitro(...tiny('grpo', 'no', '--task', 'countdwn'))).err).toContain('unknown task "countdwn"; did you mean "countdown"?');
  });

  it('gsm8k reads its file and compares answers by value', async () => {
    const rows = Array.from({ length: 10 }, (_, i) => ({
      question: `What is ${i}+1?`,
      answer: `It is <<${i}+1=${i + 1}>>${i + 1}.\n#### ${i + 1}`,
    }));
    await writeFile(path('gsm.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const argv = tiny('grpo', 'gsm', '--dataset_name', path('gsm.jsonl'), '--max_steps', '1');
    expect((await vitro(...argv)).err).toContain('has no column "prompt"; for GSM8K add --task gsm8k');
    const { code, err } = await vitro(...argv, '--task', 'gsm8k');
    expect([code, err]).toEqual([0, expect.stringContaining('9 problems (1 more')]);
    const [row] = await jsonLines('gsm', 'completions.jsonl');
    expect(row).toMatchObject({ prompt: expect.stringMatching(/^What is \d\+1\?\n$/), 'rewards/verifier': expect.any(Number) });
  });

  it('a reward model of vitro reward judges completions', async () => {
    const pairs = Array.from({ length: 12 }, (_, i) => JSON.stringify({ prompt: `${i}?`, chosen: 'aaa', rejected: 'zz' }));
    await writeFile(path('pairs.jsonl'), pairs.join('\n'));
    const judge = ['reward', '--model_name_or_path', base, '--dataset_name', path('pairs.jsonl'), '--output_dir', path('judge')];
    expect((await vitro(...judge, '--max_steps', '2', '--threads', '1')).code).toBe(0);
    const { code, err } = await vitro(
      ...tiny('grpo', 'judged', '--dataset_name', path('prompts.jsonl'), '--reward_funcs', path('judge'), '--max_steps', '1'),
    );
    expect([code, err]).toEqual([0, expect.anything()]);
    const rows = await jsonLines('judged', 'completions.jsonl');
    expect(new Set(rows.map((row) => row['rewards/judge'])).size).toBeGreaterThan(2);
  });
});

describe('recipes', () => {
  it.each([
    [['--rl', 'grpo+opo'], 'grpo+opo', {}],
    [['--rl', 'grpo+clip-higher+token-mean', '--epsilon_high', '0.3'], 'grpo+clip-higher+token-mean', { epsilon_high: 0.3, beta: 0.04 }],
    [['--set', 'clip-higher.epsilon_high=0.4', '--rl', 'grpo+clip-higher'], 'grpo+clip-higher', { epsilon_high: 0.4 }],
    [['--adv_estimator', 'gae'], 'ppo', {}],
    [['--adv_estimator', 'remax'], 'remax', {}],
    [['--loss_type', 'grpo'], 'grpo', {}],
    [['--loss_type', 'dapo'], 'grpo+loss_agg_mode=token-mean', {}],
    [['--loss_type', 'bnpo'], 'grpo+loss_agg_mode=token-mean', {}],
    [['--loss_type', 'dr_grpo', '--scale_rewards', 'false'], 'grpo+loss_agg_mode=seq-mean-token-sum-norm', { scale_rewards: 'none' }],
    [['--loss_agg_mode', 'seq-mean-token-sum'], 'grpo+loss_agg_mode=seq-mean-token-sum', {}],
    [['--importance_sampling_level', 'sequence'], 'grpo+gspo', { epsilon: 3e-4 }],
    [['--importance_sampling_level', 'token', '--kl_loss_type', 'low_var_kl'], 'grpo', { kl_loss_type: 'k3' }],
    [
      ['--per_device_train_batch_size', '8', '--gradient_accumulation_steps', '3', '--set', 'prompts_per_step=null'],
      'grpo',
      { prompts_per_step: 6 },
    ],
  ])('%j', async (change, spec, settings) => {
    const { code, out, err } = await vitro(...tiny('grpo', 'dry', ...data, ...change, '--dry_run', '--json'));
    expect([code, err]).toEqual([0, '']);
    expect(JSON.parse(out).recipe.rl).toMatchObject({ method: spec, settings });
  });

  it.each([
    [['--rl', 'grpo+opoo'], 'there is no rl method opoo; did you mean opo?'],
    [['--rl', 'grpo+opo+token-mean'], 'clash'],
    [['--rl', 'grpo+token-mean', '--loss_type', 'dr_grpo'], 'clash'],
    [['--rl', 'rloo', '--adv_estimator', 'grpo'], 'name two recipes'],
    [['--adv_estimator', 'grpo_passk'], 'unknown adv_estimator "grpo_passk"'],
    [['--loss_type', 'cispo'], 'it is a method here: --rl grpo+cispo'],
    [['--loss_type', 'luspo'], 'it must be one of grpo, bnpo, dapo, dr_grpo'],
    [['--loss_type', 'dapo', '--loss_agg_mode', 'seq-mean-token-sum'], 'give one of them'],
    [['--loss_agg_mode', 'token-men'], 'unknown loss_agg_mode "token-men"; did you mean "token-mean"?'],
    [['--importance_sampling_level', 'sequence_token'], 'it must be token or sequence'],
    [['--kl_loss_type', 'abs'], 'kl_loss_type: "abs" is not allowed; it must be one of k1, k2, k3'],
    [['--scale_rewards', 'all'], 'scale_rewards: "all" is not allowed; it must be one of group, batch, none'],
    [['--kl_coef', '0.1'], 'kl_coef: grpo has no such setting; it belongs to'],
    [['--beta', 'much'], 'beta: "much" is not allowed; it must be a number'],
    [['--bta', '0.1'], "unknown option '--bta'; did you mean --beta?"],
    [['--num_generations', '0'], 'num_generations: 0 is not allowed'],
    [['--per_device_train_batch_size', '8'], 'say the same; give one of them'],
    [['--reward_weights', '1'], 'reward_weights: 1 is not allowed; it must be 2 numbers'],
    [['--reward_funcs', 'absent.ts'], 'reward_funcs: ENOENT'],
    [['--reward_funcs', 'FOLDER/nothing.js'], 'exports no function (it exports weight: number)'],
    [['--reward_funcs', 'FOLDER/broken.js'], 'broken.js does not load'],
    [['--reward_funcs', 'FOLDER/letters.ts#smal'], 'exports no function smal; did you mean small?'],
    [['--reward_funcs', 'verifier'], 'verifier is that of a task'],
    [['--reward_funcs', 'FOLDER/length.js'], 'returned 1 values for'],
    [['--reward_funcs', 'FOLDER/text.js'], 'returned "good" for the completion'],
    [['--reward_funcs', 'FOLDER/nolist.js'], 'returned undefined; return a list'],
    [['--reward_funcs', 'FOLDER/throws.js'], 'no such judge'],
    [['--task', 'countdown'], 'task and dataset_name are both given'],
  ])('refuses %j', async (change, message) => {
    const { code, out, err } = await vitro(
      ...tiny('grpo', 'refused', ...data, '--overwrite_output_dir', ...change.map((c) => c.replace('FOLDER', folder))),
    );
    expect(err).toContain(message);
    expect(code).toBeGreaterThan(0);
    expect(out).toBe('');
  });

  it('asks for problems and for a reward', async () => {
    expect((await vitro('grpo', '--model_name_or_path', base)).err).toContain('no problems to train on');
    expect((await vitro('grpo', '--model_name_or_path', base, '--dataset_name', path('prompts.jsonl'))).err).toContain(
      'no reward; give reward_funcs',
    );
  });
});
