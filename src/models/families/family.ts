import type { DecoderConfig, FullDecoderConfig } from '../decoder/config.js';
import type { ConfigJson, ConfigReader } from './configReader.js';
import type { Layout } from './mapping.js';

/** One architecture of Hugging Face's transformers: how its config.json and its tensors become ours, and back. */
export interface Family {
  /** model_type of config.json */
  readonly model_type: string;
  /** class of transformers, for "architectures" */
  readonly architecture: string;
  /** The decoder of a config.json. Absent keys take transformers' defaults for the class. */
  configFrom(reader: ConfigReader): DecoderConfig;
  /** config.json of a decoder, without model_type and token ids. What the family cannot say is left out; see `fits`. */
  configTo(config: FullDecoderConfig): ConfigJson;
  /** Names in the checkpoint; `has` tells which tensors there are, where a family has been stored in several ways. */
  layout(config: FullDecoderConfig, has: (name: string) => boolean): Layout;
}
