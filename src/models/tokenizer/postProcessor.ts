import { VitroError } from '../../tensor/errors.js';
import { asArray, asRecord, asString, asTokenId, isRecord, type JsonRecord } from './json.js';

/** Ids that `add_special_tokens` puts around a single text. */
export interface SpecialFrame {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

const empty: SpecialFrame = { prefix: [], suffix: [] };

/** The frame of a tokenizer.json's post-processor; null where it is of a kind that this module does not know. */
export function readPostProcessor(spec: unknown): SpecialFrame | null {
  if (spec === null || spec === undefined) return empty;
  const record = asRecord(spec, 'post_processor');
  switch (asString(record.type, 'post_processor.type')) {
    case 'ByteLevel':
      return empty;
    case 'TemplateProcessing':
      return readTemplate(record);
    case 'RobertaProcessing':
    case 'BertProcessing':
      return { prefix: [pairId(record.cls, 'cls')], suffix: [pairId(record.sep, 'sep')] };
    case 'Sequence': {
      const frames = asArray(record.processors, 'post_processor.processors').map(readPostProcessor);
      if (frames.includes(null)) return null;
      return frames.reduce<SpecialFrame>(
        (outer, frame) => ({
          prefix: [...(frame ?? empty).prefix, ...outer.prefix],
          suffix: [...outer.suffix, ...(frame ?? empty).suffix],
        }),
        empty,
      );
    }
    default:
      return null;
  }
}

const pairId = (pair: unknown, what: string): number => asTokenId(asArray(pair, `post_processor.${what}`)[1], `post_processor.${what}[1]`);

function readTemplate(record: JsonRecord): SpecialFrame {
  const specials = asRecord(record.special_tokens, 'post_processor.special_tokens');
  const prefix: number[] = [];
  const suffix: number[] = [];
  let side = prefix;
  for (const part of asArray(record.single, 'post_processor.single')) {
    const entry = asRecord(part, 'post_processor.single[]');
    if (isRecord(entry.Sequence)) side = suffix;
    else {
      const name = asString(asRecord(entry.SpecialToken, 'post_processor.single[].SpecialToken').id, 'SpecialToken.id');
      const special = asRecord(specials[name], `post_processor.special_tokens[${JSON.stringify(name)}]`);
      side.push(...asArray(special.ids, 'special_tokens[].ids').map((id) => asTokenId(id, 'special_tokens[].ids[]')));
    }
  }
  if (side === prefix) throw new VitroError('post_processor.single has no Sequence; the text would be dropped');
  return { prefix, suffix };
}

/** The TemplateProcessing that puts these tokens around a text, or null where there are none. */
export function templateOf(
  prefix: readonly (readonly [string, number])[],
  suffix: readonly (readonly [string, number])[],
): JsonRecord | null {
  if (prefix.length + suffix.length === 0) return null;
  const special = (type_id: number) => (token: readonly [string, number]) => ({ SpecialToken: { id: token[0], type_id } });
  const around = (id: string, type_id: number): unknown[] => [
    ...prefix.map(special(type_id)),
    { Sequence: { id, type_id } },
    ...suffix.map(special(type_id)),
  ];
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries([...prefix, ...suffix].map(([token, id]) => [token, { id: token, ids: [id], tokens: [token] }])),
  };
}
