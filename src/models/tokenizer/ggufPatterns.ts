import { gpt2Pattern, llama3Pattern, o200kPattern, qwen2Pattern, qwen35Pattern, tekkenPattern } from './patterns.js';

export interface GgufPreTokenizer {
  /** patterns applied one after the other, each to the pieces of the one before */
  readonly patterns: readonly string[];
  readonly ignore_merges?: boolean;
  readonly add_bos?: boolean;
}

// DeepSeek's own list of letters: those with case, without Lo and Lm
const casedLetters =
  'A-Za-z\\u00b5\\u00c0-\\u00d6\\u00d8-\\u00f6\\u00f8-\\u01ba\\u01bc-\\u01bf\\u01c4-\\u0293\\u0295-\\u02af\\u0370-\\u0373\\u0376' +
  '\\u0377\\u037b-\\u037d\\u037f\\u0386\\u0388-\\u038a\\u038c\\u038e-\\u03a1\\u03a3-\\u03f5\\u03f7-\\u0481\\u048a-\\u052f\\u0531-' +
  '\\u0556\\u10a0-\\u10c5\\u13a0-\\u13f5\\u13f8-\\u13fd\\u1c90-\\u1cba\\u1cbd-\\u1cbf\\u1d00-\\u1d2b\\u1d6b-\\u1d77\\u1d79-\\u1d9a' +
  '\\u1e00-\\u1f15\\u1f18-\\u1f1d\\u1f20-\\u1f45\\u1f48-\\u1f4d\\u1f50-\\u1f57\\u1f59\\u1f5b\\u1f5d\\u1f5f-\\u1f7d\\u1f80-\\u1fb4' +
  '\\u1fb6-\\u1fbc\\u1fbe\\u1fc2-\\u1fc4\\u1fc6-\\u1fcc\\u1fd0-\\u1fd3\\u1fd6-\\u1fdb\\u1fe0-\\u1fec\\u1ff2-\\u1ff4\\u1ff6-\\u1ffc' +
  '\\u2102\\u2107\\u210a-\\u2113\\u2115\\u2119-\\u211d\\u2124\\u2126\\u2128\\u212a-\\u212d\\u212f-\\u2134\\u2139\\u213c-\\u213f' +
  '\\u2145-\\u2149\\u214e\\u2183\\u2184\\u2c00-\\u2c7b\\u2c7e-\\u2ce4\\u2ceb-\\u2cee\\u2cf2\\u2cf3\\ua640-\\ua66d\\ua680-\\ua69b' +
  '\\ua722-\\ua76f\\ua771-\\ua787\\ua78b-\\ua78e\\uab70-\\uabbf\\ufb00-\\ufb06\\ufb13-\\ufb17\\uff21-\\uff3a\\uff41-\\uff5a' +
  '\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}' +
  '\\x{1e900}-\\x{1e943}';
const eastAsian = '[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+';
const digitsThenGpt2: GgufPreTokenizer = { patterns: ['\\p{N}', gpt2Pattern] };
const gpt2: GgufPreTokenizer = { patterns: [gpt2Pattern] };
const llama3: GgufPreTokenizer = { patterns: [llama3Pattern], ignore_merges: true, add_bos: true };
const chatglm: GgufPreTokenizer = { patterns: [llama3Pattern] };
const qwen2: GgufPreTokenizer = { patterns: [qwen2Pattern] };
const deepseekV3: GgufPreTokenizer = {
  patterns: [
    '\\p{N}{1,3}',
    '[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+',
    '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
  ],
};
const bloom = ' ?[^(\\s|.,!?\\u2026\\u3002\\uff0c\\u3001\\u0964\\u06d4\\u060c)]+';

/** What `tokenizer.ggml.pre` stands for, as llama.cpp reads it; its names are facts of that file format. */
export const ggufPreTokenizers: Readonly<Record<string, GgufPreTokenizer>> = {
  default: { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|]+', gpt2Pattern, '\\p{N}+', '[0-9][0-9][0-9]'] },
  'llama-bpe': llama3,
  llama3,
  'llama-v3': llama3,
  falcon3: llama3,
  'falcon-h1': llama3,
  pixtral: llama3,
  lfm2: llama3,
  dbrx: chatglm,
  'smaug-bpe': chatglm,
  glm4: chatglm,
  'chatglm-bpe': chatglm,
  'deepseek-llm': {
    patterns: [
      '[\\r\\n]',
      `\\s?[${casedLetters}]+`,
      '\\s?[!-/:-~\\uff01-\\uff0f\\uff1a-\\uff5e\\u2018-\\u201f\\u3000-\\u3002]+',
      '\\s+\\z',
      eastAsian,
      '\\p{N}+',
    ],
  },
  'deepseek-coder': { patterns: ['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', eastAsian, '\\p{N}'] },
  'deepseek-v3': deepseekV3,
  'hunyuan-dense': deepseekV3,
  falcon: { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|`]+', gpt2Pattern, '[0-9][0-9][0-9]'] },
  starcoder: digitsThenGpt2,
  refact: digitsThenGpt2,
  'command-r': digitsThenGpt2,
  smollm: digitsThenGpt2,
  codeshell: digitsThenGpt2,
  exaone: digitsThenGpt2,
  'minerva-7b': digitsThenGpt2,
  'gpt-2': gpt2,
  'phi-2': gpt2,
  mpt: gpt2,
  olmo: gpt2,
  jais: gpt2,
  gigachat: gpt2,
  trillion: gpt2,
  'roberta-bpe': gpt2,
  'granite-docling': gpt2,
  qwen2,
  stablelm2: qwen2,
  'deepseek-r1-qwen': qwen2,
  hunyuan: qwen2,
  megrez: qwen2,
  'grok-2': qwen2,
  qwen35: { patterns: [qwen35Pattern] },
  poro: { patterns: [bloom] },
  bloom: { patterns: [bloom] },
  'gpt3-finnish': { patterns: [bloom] },
  viking: { patterns: [bloom, '\\p{N}'] },
  tekken: { patterns: [tekkenPattern], ignore_merges: true, add_bos: true },
  'gpt-4o': { patterns: [o200kPattern] },
  llama4: { patterns: [o200kPattern] },
  'seed-coder': {
    patterns: [
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    ],
  },
};
