import type { Tokenizer } from '../contracts/index.js';
import { RowUniform } from './draw.js';
import { StopText } from './stopText.js';

/** Why a completion ended: a stop token or stop string came, or its length was used up. */
export type FinishReason = 'stop' | 'length';

/** What a prompt was continued with. */
export interface Completion {
  /** place of the prompt among the prompts */
  readonly prompt: number;
  /** 0 to n - 1 */
  readonly index: number;
  /** a stop token counts as the last one */
  readonly tokens: Int32Array;
  /** without stop token and stop string; empty where no tokenizer was given */
  readonly text: string;
  readonly finish_reason: FinishReason;
  /** log-probability of each token under the model at temperature 1, in nats */
  readonly logps: Float32Array;
  /** of each token under the distribution that it was drawn from (0 where nothing is drawn) */
  readonly sampling_logps: Float32Array;
  /** entropy of the model's distribution before each token, in nats */
  readonly entropies: Float32Array;
}

/** One token as it comes. */
export interface TokenEvent {
  readonly prompt: number;
  readonly index: number;
  /** 0 for the first token of the completion */
  readonly position: number;
  readonly token: number;
  /** whole characters that are known to belong to the completion now; often empty */
  readonly text: string;
  readonly logp: number;
  readonly entropy: number;
  /** with the last token */
  readonly finish_reason?: FinishReason;
}

/** What is known of a token that was drawn, in nats. */
export interface TokenStatistics {
  readonly logp: number;
  readonly sampling_logp: number;
  readonly entropy: number;
}

export interface RowSettings {
  readonly seed: number | bigint;
  readonly stop_token_ids: ReadonlySet<number>;
  readonly stop: readonly string[];
  readonly tokenizer: Tokenizer | undefined;
}

/** A completion that is being generated. */
export class CompletionRow {
  /** tokens in the cache */
  length: number;
  /** the token that the next step appends to the cache */
  next: number;
  finished: FinishReason | undefined;
  readonly #tokens: number[] = [];
  readonly #statistics: TokenStatistics[] = [];
  readonly #text: StopText | undefined;
  readonly #uniform: RowUniform;

  /** `id` names the prompt for the random numbers; `limit` is the most tokens. */
  constructor(
    readonly prompt: number,
    readonly index: number,
    readonly promptIds: Int32Array,
    readonly limit: number,
    id: number,
    readonly settings: RowSettings,
  ) {
    this.length = promptIds.length - 1;
    this.next = promptIds.at(-1) as number;
    this.#uniform = new RowUniform(settings.seed, [id, index]);
    this.#text = settings.tokenizer && new StopText(settings.tokenizer, settings.stop, promptIds);
  }

  /** The random number of the token that comes next. */
  get uniform(): number {
    return this.#uniform.at(this.#tokens.length);
  }

  /** Takes a token; afterwards `finished` says whether it was the last. */
  accept(token: number, statistics: TokenStatistics): TokenEvent {
    const { stop_token_ids } = this.settings;
    const position = this.#tokens.length;
    this.#tokens.push(token);
    this.#statistics.push(statistics);
    this.length++;
    this.next = token;
    const ends = stop_token_ids.has(token);
    let text = ends ? '' : (this.#text?.push(token) ?? '');
    if (ends || this.#text?.stopped) this.finished = 'stop';
    else if (position + 1 >= this.limit) this.finished = 'length';
    if (this.finished) text += this.#text?.end() ?? '';
    const { logp, entropy } = statistics;
    const { prompt, index, finished } = this;
    return { prompt, index, position, token, text, logp, entropy, ...(finished ? { finish_reason: finished } : {}) };
  }

  completion(): Completion {
    const column = (name: keyof TokenStatistics): Float32Array => Float32Array.from(this.#statistics, (s) => s[name]);
    return {
      prompt: this.prompt,
      index: this.index,
      tokens: Int32Array.from(this.#tokens),
      text: this.#text?.text ?? '',
      finish_reason: this.finished ?? 'length',
      logps: column('logp'),
      sampling_logps: column('sampling_logp'),
      entropies: column('entropy'),
    };
  }
}
