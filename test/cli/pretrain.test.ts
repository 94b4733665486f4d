import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../../src/cli/program.js';
import { lockFolder } from '../../src/lab/lock.js';
import { loadModel, loadTokenizer } from '../../src/models/index.js';

let root: string;
const cacheBefore = process.env.VITRO_CACHE;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'vitro-pretrain-'));
  process.env.VITRO_CACHE = join(root, 'cache');
  await writeFile(join(root, 'plain.txt'), Array.from({ length: 300 }, (_, i) => `Line ${i} of a plain text.`).join('\n'));
  const documents = Array.from({ length: 60 }, (_, i) => JSON.stringify({ text: `document ${i}`, other: i }));
  await writeFile(join(root, 'docs.jsonl'), documents.join('\n'));
});
afterAll(async () => {
  if (cacheBefore === undefined) delete process.env.VITRO_CACHE;
  else process.env.VITRO_CACHE = cacheBefore;
  await rm(root, { recursive: true, force: true });
});

class Sink extends Writable {
  text = '';
  onText: (text: string) => void = () => undefined;
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    this.onText(chunk.toString());
    done();
  }
}

async function vitro(argv: readonly string[], onText?: (text: string) => void) {
  const [stdout, stderr] = [new Sink(), new Sink()];
  if (onText) stderr.onText = onText;
  const code = await runCli(argv, { stdout, stderr });
  return { code, out: stdout.text, err: stderr.text };
}

const model = '{hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24}';
/** A run of a second: `change` goes after, so that it wins. */
const tiny = (output: string, ...change: string[]): string[] => [
  ...['pretrain', '--dataset_name', join(root, 'plain.txt'), '--output_dir', join(root, output), '--model', model, '--max_length', '16'],
  ...['--per_device_train_batch_size', '2', '--max_steps', '6', '--logging_steps', '2', '--save_steps', '2', '--threads', '1', ...change],
];
const dryRun = async (...argv: string[]) => {
  const { code, out, err } = await vitro([...argv, '--dry_run', '--json']);
  expect(err).toBe('');
  expect(code).toBe(0);
  return JSON.parse(out);
};

describe('the configuration of vitro pretrain', () => {
  it('is explained with examples', async () => {
    const { code, out } = await vitro(['pretrain', '--help']);
    expect(code).toBe(0);
    expect(out).toContain('vitro pretrain --dataset_name shakespeare');
    expect(out).toMatch(/--learning_rate <value> +peak learning rate/);
    expect(out).toMatch(/--per_device_train_batch_size <value> +rows of a batch \(default 8\)/);
  });

  it.each([
    [['--learning_rte', '1'], "unknown option '--learning_rte'"],
    [['--set', 'learning_rte=1'], 'unknown key "learning_rte"; did you mean "learning_rate"?'],
    [['--learning_rate', '-1'], 'learning_rate: -1 is not allowed; it must be a number above 0'],
    [['--max_steps', 'many'], 'max_steps: "many" is not allowed; it must be a whole number of at least 1'],
    [['--eval_strategy', 'always'], 'eval_strategy: "always" is not allowed; it must be one of steps, epoch, no'],
    [['--packing', 'tight'], 'packing: "tight" is not allowed; it must be true, false, windows, concat (wrapped) or best-fit (bfd)'],
    [['--datasets', '[{path: x, colums: [a]}]'], 'unknown key "datasets.0.colums"; did you mean "columns"?'],
    [['--set', 'learning_rate'], 'write it as KEY=VALUE'],
    [['--optim', 'adamv'], 'unknown optimizer "adamv"; did you mean "adam"?'],
    [['--optim', 'lion', '--adam_beta1', '0.5'], 'unknown setting of lion "adam_beta1"'],
    [['--attention', 'quset'], 'unknown attention "quset"; did you mean "quest"?'],
    [['--set', 'optimizer.weight_decay=much'], 'adamw.weight_decay: "much" is not allowed; it must be a number, like its default 0.01'],
    [['--lr_scheduler_type', 'polynomial'], 'unknown schedule "polynomial"'],
    [['--set', 'model.hiden_size=8'], 'unknown key "hiden_size"; did you mean "hidden_size"?'],
    [['--set', 'model.preset=gpt-0.5m'], 'unknown model "gpt-0.5m"; did you mean "gpt-0.4m"?'],
    [['--report_to', 'tensorboard'], 'report_to: "tensorboard" is not available; available are jsonl, none'],
    [['--tokenizer', 'train:100'], 'train:N trains a vocabulary of N ids'],
    [['--optim', 'mezo', '--gradient_accumulation_steps', '2'], 'mezo evaluates the loss of a batch itself'],
    [['--max_length', '100000'], 'too few for rows of max_length 100000'],
    [['--resume_from_checkpoint', 'elsewhere/checkpoint-3'], 'it must be true, false or a folder checkpoint-N in'],
    [['--warmup_steps', '6'], 'warmup_steps: 6 is not allowed; it must be below max_steps, 6'],
    [['--config', 'absent.yaml'], '--config absent.yaml: ENOENT'],
  ])('answers %j with exit code 2', async (change, message) => {
    const { code, out, err } = await vitro(tiny('refused', ...change));
    expect(err).toContain(message);
    expect(code).toBe(2);
    expect(out).toBe('');
  });

  it('asks for a text, and for one', async () => {
    expect((await vitro(['pretrain'])).err).toContain('no text to train on; give dataset_name');
    const both = await vitro(['pretrain', '--dataset_name', 'shakespeare', '--datasets', '[{path: x}]']);
    expect(both.err).toContain('dataset_name and datasets are both given');
    expect(both.code).toBe(2);
  });

  it('is the defaults, under the file, under the flags, under --set', async () => {
    const file = join(root, 'run.yaml');
    await writeFile(
      file,
      `dataset: ${join(root, 'plain.txt')}\nmax_steps: 7\nseed: 1\nweight_decay: 0.3\nmodel: {hidden_size: 16, num_attention_heads: 2}\nattention: quest\nlr_scheduler_type: warmup_stable_decay\n`,
    );
    const found = await dryRun(
      ...['pretrain', '--config', file, '--seed', '2', '--max_length', '32', '--set', 'max_steps=9', '--set', 'attention.scale=2'],
      ...['--set', 'wsd.decay_ratio=0.5', '--set', 'model.num_hidden_layers=2'],
    );
    expect(found.config).toMatchObject({ max_steps: 9, seed: 2, weight_decay: 0.3, logging_steps: 10 });
    expect(found.model).toMatchObject({ hidden_size: 16, num_hidden_layers: 2, vocab_size: 256, max_position_embeddings: 32 });
    expect(found.model).toMatchObject({ attention_method: 'quest', attention_settings: { scale: 2 } });
    expect(found.recipe.optimizer).toEqual({ method: 'adamw', settings: expect.objectContaining({ weight_decay: 0.3, adam_beta2: 0.95 }) });
    expect(found.recipe.schedule).toEqual({ method: 'wsd', settings: expect.objectContaining({ decay_ratio: 0.5 }) });
    expect(found.args).toMatchObject({ max_steps: 9, warmup_steps: 0, eval_steps: 1, save_steps: 1 });
  });

  it('comes from a TypeScript module, as a record or a function', async () => {
    const path = join(root, 'plain.txt');
    await writeFile(
      join(root, 'record.ts'),
      `const steps: number = 3;\nexport default { dataset_name: ${JSON.stringify(path)}, max_steps: steps + 1 };\n`,
    );
    await writeFile(
      join(root, 'function.ts'),
      `export default async (): Promise<object> => ({ ...(await import('./record.ts')).default, seed: 5 });\n`,
    );
    expect((await dryRun('pretrain', '--config', join(root, 'record.ts'))).config).toMatchObject({ max_steps: 4, seed: 42 });
    expect((await dryRun('pretrain', '--config', join(root, 'function.ts'))).config).toMatchObject({ max_steps: 4, seed: 5 });
    await writeFile(join(root, 'list.ts'), 'export default [1];\n');
    expect((await vitro(['pretrain', '--config', join(root, 'list.ts')])).err).toContain('expected keys with values');
    await writeFile(join(root, 'typo.yaml'), 'max_step: 3\n');
    const typo = await vitro(['pretrain', '--config', join(root, 'typo.yaml')]);
    expect([typo.code, typo.err]).toEqual([2, expect.stringMatching(/did you mean "max_steps"\?\n\(keys come from .*typo\.yaml/)]);
  });

  it('says in a dry run what would run, and touches no output folder', async () => {
    const { figures, config, packing } = await dryRun(...tiny('dry', '--num_train_epochs', '2', '--gradient_accumulation_steps', '3'));
    const layer = 16 + 4 * 16 * 16 + 16 + 3 * 16 * 24;
    expect(figures.parameters).toBe(256 * 16 + layer + 16);
    expect(figures).toMatchObject({ vocab_size: 256, steps: 6, tokens_per_step: 96, tokens: 576 });
    // weights, gradients, their sums over the parts, two moments; two counts of steps
    expect(figures.state_bytes).toBe(4 * figures.parameters * 5 + 8);
    expect(figures.training_tokens + figures.validation_tokens).toBe((await readFile(join(root, 'plain.txt'))).length);
    expect([packing, config.output_dir]).toEqual(['windows', join(root, 'dry')]);
    expect(await readdir(root)).not.toContain('dry');
    const documents = await dryRun(
      ...tiny('dry'),
      '--dataset_name',
      join(root, 'docs.jsonl'),
      '--set',
      'max_steps=null',
      '--num_train_epochs',
      '2',
    );
    expect(documents.packing).toBe('concat');
    // bytes and an end for each of 54 documents
    expect(documents.figures.vocab_size).toBe(257);
    expect(documents.figures.steps).toBe(Math.ceil((2 * documents.figures.training_tokens) / 32));
    // 300 lines, each ended by an id of its own in place of the line break
    const lines = await dryRun(...tiny('dry'), '--document_separator', '\\n');
    expect([lines.packing, lines.figures.vocab_size]).toEqual(['concat', 257]);
    const text = await vitro([...tiny('dry'), '--dry_run']);
    expect(text.out).toMatch(/method: adamw[\s\S]*parameters \(vocabulary 256\), 6 steps[\s\S]*memory: \d/);
  });
});

describe('vitro pretrain', () => {
  it('trains, leaves a model that loads, and does not train again', async () => {
    const first = await vitro(tiny('plain', '--json'));
    expect(first.err).toContain('6 steps');
    expect(first.code).toBe(0);
    const summary = JSON.parse(first.out);
    expect(summary).toMatchObject({
      status: 'finished',
      steps: 6,
      resumed_step: null,
      was_finished: false,
      checkpoint: join(root, 'plain', 'checkpoint-6'),
    });
    expect(summary.metrics['val/bpb']).toBeGreaterThan(1);
    expect(summary.ledger.tokens_trained).toBe(6 * 32);
    expect((await readdir(join(root, 'plain'))).sort()).toEqual([
      ...['checkpoint-4', 'checkpoint-6', 'config.json', 'generation_config.json', 'identity.json'],
      ...['metrics.jsonl', 'model.safetensors', 'run.json', 'tokenizer.json', 'tokenizer_config.json'],
    ]);
    for (const folder of ['plain', 'plain/checkpoint-6']) {
      const { model: loaded } = await loadModel(join(root, folder));
      expect(loaded.vocab_size).toBe(256);
      expect((await loadTokenizer(join(root, folder))).encode('ab')).toEqual(Int32Array.of(97, 98));
    }
    const run = JSON.parse(await readFile(join(root, 'plain', 'run.json'), 'utf8'));
    expect(run).toMatchObject({
      status: 'finished',
      testbed: 'pretrain',
      method: 'adamw',
      seed: 42,
      result: summary.metrics,
      config: { max_steps: 6 },
    });
    expect(run.ledger).toEqual(summary.ledger);
    expect(run.versions.node).toBe(process.versions.node);
    const before = await readFile(join(root, 'plain', 'metrics.jsonl'), 'utf8');
    const again = await vitro(tiny('plain'));
    expect([again.code, again.out]).toEqual([0, expect.stringContaining('This run had finished')]);
    expect(await readFile(join(root, 'plain', 'metrics.jsonl'), 'utf8')).toBe(before);
    const runs = await vitro(['runs', join(root, 'plain')]);
    expect(runs.out).toContain('finished');
  });

  it('refuses a folder with another run and names the difference; --overwrite_output_dir starts over', async () => {
    await vitro(tiny('other'));
    const changed = await vitro(tiny('other', '--learning_rate', '0.005'));
    expect(changed.code).toBe(2);
    expect(changed.err).toMatch(/holds another run; .*recipe\.optimizer\.settings\.learning_rate: 0\.001 there, 0\.005 now/s);
    // how often it saves does not make another run
    expect((await vitro(tiny('other', '--save_steps', '3'))).out).toContain('This run had finished');
    const over = await vitro(tiny('other', '--learning_rate', '0.005', '--overwrite_output_dir', '--json'));
    expect(JSON.parse(over.out)).toMatchObject({ was_finished: false, resumed_step: null });
    const forbidden = await vitro(tiny('other', '--learning_rate', '0.005', '--resume_from_checkpoint', 'false'));
    expect([forbidden.code, forbidden.err]).toEqual([2, expect.stringContaining('resume_from_checkpoint is false')]);
  });

  it('refuses a folder that another process writes', async () => {
    await vitro(tiny('held'));
    const unlock = await lockFolder(join(root, 'held'));
    const { code, err } = await vitro(tiny('held', '--overwrite_output_dir'));
    await unlock();
    expect(code).toBe(2);
    expect(err).toContain(`is being written by process ${process.pid}`);
    expect(await readdir(join(root, 'held'))).toContain('checkpoint-6');
  });

  it('saves at Ctrl-C, goes on with the same command, and back to an earlier checkpoint, to the same bits', async () => {
    const long = (output: string, ...change: string[]) =>
      tiny(output, '--max_steps', '8', '--logging_steps', '1', '--save_steps', '3', ...change);
    const whole = await vitro(long('whole', '--json'));
    const stopped = await vitro(long('stopped'), (text) => {
      if (text.includes('step 4/8')) process.emit('SIGINT');
    });
    expect(stopped.code).toBe(130);
    expect(stopped.err).toContain('the same command goes on from there');
    expect((await readdir(join(root, 'stopped'))).filter((name) => name.startsWith('checkpoint'))).toEqual([
      'checkpoint-3',
      'checkpoint-4',
    ]);
    expect(process.listenerCount('SIGINT')).toBe(0);
    const bytes = (output: string) => readFile(join(root, output, 'model.safetensors'));
    const losses = async (output: string) =>
      (await readFile(join(root, output, 'metrics.jsonl'), 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).loss);
    const rest = await vitro(long('stopped', '--json'));
    expect(rest.err).toContain('going on from step 4');
    expect(JSON.parse(rest.out)).toMatchObject({ resumed_step: 4, metrics: JSON.parse(whole.out).metrics });
    expect((await bytes('stopped')).equals(await bytes('whole'))).toBe(true);
    expect(await losses('stopped')).toEqual(await losses('whole'));

    const back = await vitro(long('stopped', '--resume_from_checkpoint', join(root, 'stopped', 'checkpoint-6'), '--json'));
    expect(JSON.parse(back.out)).toMatchObject({ resumed_step: 6, was_finished: false });
    expect((await bytes('stopped')).equals(await bytes('whole'))).toBe(true);
    const absent = await vitro(long('stopped', '--resume_from_checkpoint', join(root, 'stopped', 'checkpoint-1')));
    expect([absent.code, absent.err]).toEqual([2, expect.stringContaining('has no checkpoint-1; it has checkpoint-')]);
  });

  it('goes on from a checkpoint with its tokenizer, on other data', async () => {
    await vitro(tiny('base', '--tokenizer', 'train:280'));
    const argv = ['pretrain', '--dataset_name', join(root, 'docs.jsonl'), '--model_name_or_path', join(root, 'base'), '--max_steps', '2'];
    const { code, out, err } = await vitro([
      ...argv,
      '--per_device_train_batch_size',
      '2',
      '--output_dir',
      join(root, 'more'),
      '--threads',
      '1',
      '--json',
    ]);
    expect([code, err]).toEqual([0, expect.stringContaining('vocabulary 280')]);
    const { config } = await loadModel(join(root, 'more'));
    expect(config).toMatchObject({ vocab_size: 280, hidden_size: 16, max_position_embeddings: 16 });
    const first = JSON.parse((await readFile(join(root, 'more', 'metrics.jsonl'), 'utf8')).split('\n')[0] as string);
    expect(first.global_step).toBe(1);
    expect(JSON.parse(out).status).toBe('finished');
    const long = await vitro([...argv, '--max_length', '64', '--dry_run']);
    expect([long.code, long.err]).toEqual([2, expect.stringContaining('max_length: 64 is longer than the context of base, 16')]);
  });

  it('says what to do about a run that diverges', async () => {
    const { code, out } = await vitro(tiny('diverged', '--learning_rate', '1e30', '--max_grad_norm', '0', '--optim', 'sgd'));
    expect([code, out]).toEqual([1, expect.stringContaining('The loss left the finite numbers')]);
  });
});
