import type { DecoderConfig } from '../../models/index.js';
import type { SlotSettings } from '../recipe.js';
import { shakespeareModel } from '../testbeds/text.js';
import { tunedSettings } from '../testbeds/tuned.js';

/** A decoder of a certain size with what it is usually trained with. */
export interface Preset {
  readonly summary: string;
  readonly config: Omit<DecoderConfig, 'vocab_size'>;
  /** as the key `tokenizer` names it */
  readonly tokenizer: string;
  /** settings by optimizer, where they were tuned for this size */
  readonly tuned: Readonly<Record<string, SlotSettings>>;
}

const gpt = (width: number, layers: number, heads: number, ffn: number): Preset['config'] => ({
  hidden_size: width,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  intermediate_size: ffn,
  max_position_embeddings: 256,
});

/** Models that a name stands for. The numbers are parameters with the preset's own tokenizer. */
export const presets: Readonly<Record<string, Preset>> = {
  'gpt-0.4m': {
    summary: '3 layers of width 96, context 128, bytes',
    config: shakespeareModel,
    tokenizer: 'byte',
    tuned: tunedSettings('shakespeare'),
  },
  'gpt-5.7m': {
    summary: '6 layers of width 256, context 256, vocabulary 4096',
    config: gpt(256, 6, 8, 672),
    tokenizer: 'train:4096',
    tuned: {},
  },
  'gpt-28m': {
    summary: '8 layers of width 512, context 256, vocabulary 8192',
    config: gpt(512, 8, 8, 1376),
    tokenizer: 'train:8192',
    tuned: {},
  },
};

export const defaultPreset = 'gpt-0.4m';
