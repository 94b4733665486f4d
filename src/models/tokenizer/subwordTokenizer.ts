import { createHash } from 'node:crypto';
import type { Tokenizer } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import { type AddedToken, AddedTokenMatcher, readAddedTokens } from './addedTokens.js';
import { concatBytes, textOf, utf8 } from './bytes.js';
import { configDecidesFrame, specialId, specialText, type TokenizerConfig } from './config.js';
import { buildDecoder, type TokenDecoder } from './decoder.js';
import { IdBuffer } from './idBuffer.js';
import type { JsonRecord } from './json.js';
import { mayCutBefore, type SubwordModel } from './model.js';
import { buildNormalizer, type Normalizer } from './normalizer.js';
import { PieceCache } from './pieceCache.js';
import { readPostProcessor, type SpecialFrame, templateOf } from './postProcessor.js';
import { buildPreTokenizer, type PreTokenizer } from './preTokenizer.js';

/** A tokenizer that can be written as a tokenizer.json and its tokenizer_config.json. */
export interface SerializableTokenizer extends Tokenizer {
  readonly config: TokenizerConfig;
  toJson(): JsonRecord;
}

/** The parts of a tokenizer.json around the model, as they stand in the file. */
export interface PipelineSpec {
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: unknown;
  readonly post_processor?: unknown;
  readonly decoder?: unknown;
  readonly added_tokens?: unknown;
}

interface Parts {
  readonly normalizer: Normalizer;
  readonly pre: PreTokenizer;
  readonly decoder: TokenDecoder;
  readonly frame: SpecialFrame;
  readonly added: readonly AddedToken[];
}

/** Vitro's own encoder for the common pipelines (byte-level, SentencePiece-like, BERT); ids are cached by pre-token. */
export class SubwordTokenizer implements SerializableTokenizer {
  readonly vocab_size: number;
  readonly bos_token_id: number | null;
  readonly eos_token_id: number | null;
  readonly pad_token_id: number | null;
  readonly #texts: (string | undefined)[] = [];
  readonly #added = new Map<number, AddedToken>();
  readonly #addedIds = new Map<string, number>();
  readonly #raw: AddedTokenMatcher;
  readonly #normalized: AddedTokenMatcher | null;
  readonly #frame: SpecialFrame;
  readonly #cutsAtMarks: boolean;
  readonly #cache = new PieceCache();
  readonly #bytes: (Uint8Array | undefined)[] = [];
  #fingerprint: string | undefined;

  /** Null where a part of the pipeline is of a kind that this class does not state exactly. */
  static assemble(spec: PipelineSpec, model: SubwordModel, config: TokenizerConfig): SubwordTokenizer | null {
    const normalizer = buildNormalizer(spec.normalizer);
    const pre = buildPreTokenizer(spec.pre_tokenizer);
    const decoder = buildDecoder(spec.decoder);
    const frame = readPostProcessor(spec.post_processor);
    if (!normalizer || !pre || !decoder || !frame) return null;
    return new SubwordTokenizer(spec, model, config, { normalizer, pre, decoder, frame, added: readAddedTokens(spec.added_tokens) });
  }

  private constructor(
    readonly spec: PipelineSpec,
    readonly model: SubwordModel,
    readonly config: TokenizerConfig,
    private readonly parts: Parts,
  ) {
    for (const [token, id] of model.vocab) this.#texts[id] ??= token;
    for (const token of parts.added) {
      this.#texts[token.id] = token.content;
      this.#added.set(token.id, token);
      this.#addedIds.set(token.content, token.id);
    }
    this.vocab_size = this.#texts.length;
    const late = parts.added.filter((t) => t.normalized);
    this.#raw = new AddedTokenMatcher(parts.added.filter((t) => !t.normalized));
    this.#normalized = late.length > 0 ? new AddedTokenMatcher(late, (t) => parts.normalizer(t.content)) : null;
    const id = (token: string): number | undefined => this.tokenId(token);
    this.bos_token_id = specialId('bos', config, id);
    this.eos_token_id = specialId('eos', config, id);
    this.pad_token_id = specialId('pad', config, id);
    this.#frame = configDecidesFrame(config)
      ? {
          prefix: config.add_bos_token === true ? [this.#required(this.bos_token_id, 'bos')] : [],
          suffix: config.add_eos_token === true ? [this.#required(this.eos_token_id, 'eos')] : [],
        }
      : parts.frame;
    for (const special of [...this.#frame.prefix, ...this.#frame.suffix])
      if (this.#texts[special] === undefined)
        throw new VitroError(`the post-processor adds id ${special}, which the vocabulary does not have`);
    this.#cutsAtMarks = !parts.pre.byte_level && mayCutBefore(model.vocab, '▁');
  }

  get fingerprint(): string {
    this.#fingerprint ??= createHash('sha256').update(JSON.stringify(this.toJson())).digest('hex');
    return this.#fingerprint;
  }

  encode(text: string, { add_special_tokens = false }: { readonly add_special_tokens?: boolean } = {}): Int32Array {
    const out = new IdBuffer(text.length >> 1);
    if (add_special_tokens) out.pushAll(this.#frame.prefix);
    const onToken = (token: AddedToken): void => out.push(token.id);
    this.#raw.split(
      text,
      (section, at) => {
        const normal = this.parts.normalizer(section);
        if (this.#normalized) this.#normalized.split(normal, (part, start) => this.#encodeSection(part, at + start === 0, out), onToken);
        else this.#encodeSection(normal, at === 0, out);
      },
      onToken,
    );
    if (add_special_tokens) out.pushAll(this.#frame.suffix);
    return out.finish();
  }

  decode(ids: ArrayLike<number>, { skip_special_tokens = false }: { readonly skip_special_tokens?: boolean } = {}): string {
    const { decoder } = this.parts;
    const parts: Uint8Array[] = [];
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] as number;
      const added = this.#added.get(id);
      if (added?.special) {
        if (!skip_special_tokens) parts.push((decoder.specialBytes ?? utf8)(added.content));
      } else parts.push(this.tokenBytes(id));
    }
    const bytes = concatBytes(parts);
    const strip = decoder.strips_leading_space && bytes[0] === 0x20;
    return textOf(strip ? bytes.subarray(1) : bytes);
  }

  tokenBytes(id: number): Uint8Array {
    const known = this.#bytes[id];
    if (known) return known;
    const added = this.#added.get(id);
    const text = this.#texts[id];
    const bytes = added
      ? utf8(added.special ? '' : added.content)
      : text === undefined
        ? new Uint8Array(0)
        : this.parts.decoder.bytes(text);
    if (text !== undefined) this.#bytes[id] = bytes;
    return bytes;
  }

  tokenId(token: string): number | undefined {
    return this.#addedIds.get(token) ?? this.model.vocab.get(token);
  }

  toJson(): JsonRecord {
    const { normalizer = null, pre_tokenizer = null, decoder = null } = this.spec;
    const named = (ids: readonly number[]): [string, number][] => ids.map((id) => [this.#texts[id] ?? '', id]);
    return {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: this.parts.added,
      normalizer,
      pre_tokenizer,
      post_processor: templateOf(named(this.#frame.prefix), named(this.#frame.suffix)),
      decoder,
      model: this.model.toJson(),
    };
  }

  #encodeSection(section: string, first: boolean, out: IdBuffer): void {
    const emit = (piece: string): void => this.#encodePiece(piece, out);
    if (!this.#cutsAtMarks) this.parts.pre.cut(section, first, emit);
    else this.parts.pre.cut(section, first, (piece) => cutAtMarks(piece, emit));
  }

  #encodePiece(piece: string, out: IdBuffer): void {
    const known = this.#cache.get(piece);
    if (typeof known === 'number') out.push(known);
    else if (known) out.pushAll(known);
    else {
      const finished = this.parts.pre.finish(piece);
      const ids = finished.length === 1 ? this.model.encode(finished[0] as string) : finished.flatMap((p) => this.model.encode(p));
      this.#cache.set(piece, ids);
      out.pushAll(ids);
    }
  }

  #required(id: number | null, role: 'bos' | 'eos'): number {
    if (id !== null) return id;
    throw new VitroError(
      `add_${role}_token is set, but ${role}_token ${JSON.stringify(specialText(this.config[`${role}_token`]))} is not in the vocabulary`,
    );
  }
}

/** Cuts before every "▁" that follows another character; see `mayCutBefore`. */
function cutAtMarks(text: string, emit: (piece: string) => void): void {
  let from = 0;
  for (let at = text.indexOf('▁', 1); at > 0; at = text.indexOf('▁', at + 1)) {
    if (text[at - 1] === '▁') continue;
    emit(text.slice(from, at));
    from = at;
  }
  if (from < text.length) emit(text.slice(from));
}
