import { VitroError } from '../../tensor/errors.js';
import { BpeModel, rulesFromVocabulary } from './bpe.js';
import { byteToChar } from './bytes.js';
import { byteLevelSpec } from './decoder.js';
import { type SerializableTokenizer, SubwordTokenizer } from './subwordTokenizer.js';

export interface TiktokenRanks {
  /** the pattern that cuts the text */
  readonly pat_str: string;
  /** "token-in-base64 rank" lines, or js-tiktoken's "! offset token token ..." lines */
  readonly bpe_ranks: string;
  readonly special_tokens?: Readonly<Record<string, number>>;
}

/**
 * A tokenizer from tiktoken's ranks, e.g. cl100k_base: any two tokens whose concatenation is a token merge, lowest rank first.
 * @throws VitroError where a line cannot be read or the pattern cannot be stated in JavaScript
 */
export function tokenizerFromTiktoken({ pat_str, bpe_ranks, special_tokens = {} }: TiktokenRanks): SerializableTokenizer {
  const vocab = new Map<string, number>();
  for (const [token, rank] of rankedTokens(bpe_ranks)) {
    if (token.length > 4096) throw new VitroError(`the token of rank ${rank} has ${token.length} bytes; at most 4096 are allowed`);
    vocab.set(token, rank);
  }
  if (vocab.size === 0) throw new VitroError('bpe_ranks holds no tokens');
  const spec = {
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'Split', pattern: { Regex: pat_str }, behavior: 'Isolated', invert: false }, byteLevelSpec],
    },
    decoder: byteLevelSpec,
    added_tokens: withoutGaps(special_tokens, vocab.size),
  };
  const eos = special_tokens['<|endoftext|>'] === undefined ? {} : { eos_token: '<|endoftext|>' };
  const model = new BpeModel({ vocab, rules: rulesFromVocabulary(vocab, (_, id) => id), ignore_merges: true });
  const tokenizer = SubwordTokenizer.assemble(spec, model, { tokenizer_class: 'PreTrainedTokenizerFast', ...eos });
  if (!tokenizer) throw new VitroError(`pat_str ${JSON.stringify(pat_str)} cannot be stated as a JavaScript regular expression`);
  return tokenizer;
}

/** Special tokens by id. Unused ids between them get tokens too: Python's tokenizers cannot read a tokenizer.json with gaps. */
function withoutGaps(special: Readonly<Record<string, number>>, first: number): unknown[] {
  const contents = new Map(Object.entries(special).map(([content, id]) => [id, content]));
  let last = first - 1;
  for (const [id, content] of contents) {
    if (!Number.isInteger(id) || id < first)
      throw new VitroError(`special token ${JSON.stringify(content)} has id ${id}; the first free id is ${first}`);
    last = Math.max(last, id);
  }
  if (last - first > 4096) throw new VitroError(`special_tokens reach up to id ${last}, far beyond the ${first} tokens of bpe_ranks`);
  return Array.from({ length: last + 1 - first }, (_, i) => {
    const id = first + i;
    return { id, content: contents.get(id) ?? `<|reserved_${id}|>`, special: true };
  });
}

function* rankedTokens(lines: string): Generator<[string, number]> {
  for (const line of lines.split('\n')) {
    if (line.trim() === '') continue;
    const words = line.trim().split(' ');
    const packed = words[0] === '!';
    const first = Number(words[1]);
    if (!Number.isInteger(first) || first < 0 || (!packed && words.length !== 2))
      throw new VitroError(`bpe_ranks: cannot read the line ${JSON.stringify(line.slice(0, 60))}`);
    if (packed) for (const [i, word] of words.slice(2).entries()) yield [byteChars(word), first + i];
    else yield [byteChars(words[0] ?? ''), first];
  }
}

function byteChars(base64: string): string {
  let out = '';
  for (const byte of Buffer.from(base64, 'base64')) out += byteToChar[byte];
  if (out === '') throw new VitroError(`bpe_ranks: ${JSON.stringify(base64)} is not base64`);
  return out;
}
