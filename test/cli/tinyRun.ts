import { Writable } from 'node:stream';
import { runCli } from '../../src/cli/program.js';
import { byteTokenizer, type DecoderConfig, decoderModel, initModel, saveModel, saveTokenizer } from '../../src/models/index.js';
import { type NDArray, treeEntries } from '../../src/tensor/index.js';

class Sink extends Writable {
  text = '';
  constructor(readonly onText: (text: string) => void = () => undefined) {
    super();
  }
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    this.onText(chunk.toString());
    done();
  }
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line and gives what it wrote. */
export const vitro = (...argv: string[]): Promise<Ran> => vitroWith(argv);

/** The same, with every piece of text that comes on stderr. */
export async function vitroWith(argv: readonly string[], onError?: (text: string) => void): Promise<Ran> {
  const [stdout, stderr] = [new Sink(), new Sink(onError)];
  const code = await runCli(argv, { stdout, stderr });
  return { code, out: stdout.text, err: stderr.text };
}

export const tinyConfig: DecoderConfig = {
  vocab_size: 257,
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 32,
  max_position_embeddings: 96,
};

/** Writes a model of random weights over bytes, with its tokenizer. */
export async function writeTinyModel(folder: string, config: DecoderConfig = tinyConfig): Promise<void> {
  const params = initModel(decoderModel(config), 7);
  for (const [, p] of treeEntries<NDArray>(params as never))
    if (p.shape.length > 1) for (let i = 0; i < p.data.length; i++) (p.data as Float32Array)[i] = Number(p.data[i]) * 6;
  await saveModel(folder, { config, params, tokens: { eos_token_id: 256 } });
  await saveTokenizer(folder, byteTokenizer({ special_tokens: ['<|endoftext|>'], eos_token: '<|endoftext|>' }));
}
