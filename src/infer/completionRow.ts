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
  readonly #logps: number[] = [];
  readonly #samplingLogps: number[] = [];
  readonly #entropies: number[] = [];
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

  /** Takes a token and what is known of it, in nats, and returns the text that it lets go; afterwards `finished` says whether it was the last. */
  accept(token: number, logp: number, samplingLogp: number, entropy: number): string {
    const { stop_token_ids } = this.settings;
    this.#tokens.push(token);
    this.#logps.push(logp);
    this.#samplingLogps.push(samplingLogp);
    this.#entropies.push(entropy);
    this.length++;
    this.next = token;
    const ends = stop_token_ids.has(token);
    let text = ends ? '' : (this.#text?.push(token) ?? '');
    if (ends || this.#text?.stopped) this.finished = 'stop';
    else if (this.#tokens.length >= this.limit) this.finished = 'length';
    if (this.finished) text += this.#text?.end() ?? '';
    return text;
  }

  /** The newest token with the text that it let go. */
  event(text: string): TokenEvent {
    const { prompt, index, finished } = this;
    const last = <T>(column: readonly T[]): T => column.at(-1) as T;
    return {
      prompt,
      index,
      position: this.#tokens.length - 1,
      token: last(this.#tokens),
      text,
      logp: last(this.#logps),
      entropy: last(this.#entropies),
      ...(finished ? { finish_reason: finished } : {}),
    };
  }

  completion(): Completion {
    return {
      prompt: this.prompt,
      index: this.index,
      tokens: new Int32Array(this.#tokens),
      text: this.#text?.text ?? '',
      finish_reason: this.finished ?? 'length',
      logps: new Float32Array(this.#logps),
      sampling_logps: new Float32Array(this.#samplingLogps),
      entropies: new Float32Array(this.#entropies),
    };
  }
}
