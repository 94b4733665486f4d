/** Architectures whose tensors Vitro maps between Hugging Face's and GGUF's names. */
export const ggufArchitectures = ['llama', 'qwen2', 'qwen3', 'gemma2', 'phi3'] as const;
export type GgufArchitecture = (typeof ggufArchitectures)[number];

/** GGUF architecture of a Hugging Face model_type; undefined where there is none. Mistral is stored as llama. */
export const architectureOf = (modelType: unknown): GgufArchitecture | undefined =>
  modelType === 'mistral' ? 'llama' : ggufArchitectures.find((a) => a === modelType);

const outer = [
  ['model.embed_tokens', 'token_embd'],
  ['model.norm', 'output_norm'],
  ['lm_head', 'output'],
] as const;

const attention = [
  ['input_layernorm', 'attn_norm'],
  ['self_attn.q_proj', 'attn_q'],
  ['self_attn.k_proj', 'attn_k'],
  ['self_attn.v_proj', 'attn_v'],
  ['self_attn.o_proj', 'attn_output'],
] as const;

const feedForward = [
  ['mlp.gate_proj', 'ffn_gate'],
  ['mlp.up_proj', 'ffn_up'],
  ['mlp.down_proj', 'ffn_down'],
] as const;

const secondNorm = [['post_attention_layernorm', 'ffn_norm']] as const;

/** Names of a layer's modules: Hugging Face, GGUF. */
const modules: Readonly<Record<GgufArchitecture, readonly (readonly [string, string])[]>> = {
  llama: [...attention, ...secondNorm, ...feedForward],
  qwen2: [...attention, ...secondNorm, ...feedForward],
  qwen3: [...attention, ['self_attn.q_norm', 'attn_q_norm'], ['self_attn.k_norm', 'attn_k_norm'], ...secondNorm, ...feedForward],
  gemma2: [
    ...attention,
    ['post_attention_layernorm', 'post_attention_norm'],
    ['pre_feedforward_layernorm', 'ffn_norm'],
    ...feedForward,
    ['post_feedforward_layernorm', 'post_ffw_norm'],
  ],
  phi3: [
    ['input_layernorm', 'attn_norm'],
    ['self_attn.qkv_proj', 'attn_qkv'],
    ['self_attn.o_proj', 'attn_output'],
    ...secondNorm,
    ['mlp.gate_up_proj', 'ffn_up'],
    ['mlp.down_proj', 'ffn_down'],
  ],
};

const split = (name: string): [module: string, suffix: string] | undefined => {
  const match = /^(.+)\.(weight|bias)$/.exec(name);
  return match ? [match[1] as string, match[2] as string] : undefined;
};

/** GGUF name of a Hugging Face tensor: model.layers.3.self_attn.q_proj.weight is blk.3.attn_q.weight. Undefined where there is none. */
export function toGgufName(architecture: GgufArchitecture, name: string): string | undefined {
  const [module, suffix] = split(name) ?? [];
  if (module === undefined) return undefined;
  const top = outer.find(([hf]) => hf === module)?.[1];
  if (top) return `${top}.${suffix}`;
  const layer = /^model\.layers\.(\d+)\.(.+)$/.exec(module);
  const inner = layer && modules[architecture].find(([hf]) => hf === layer[2])?.[1];
  return inner ? `blk.${layer[1]}.${inner}.${suffix}` : undefined;
}

/** Hugging Face name of a GGUF tensor; undefined where there is none (rope_freqs.weight). */
export function fromGgufName(architecture: GgufArchitecture, name: string): string | undefined {
  const [module, suffix] = split(name) ?? [];
  if (module === undefined) return undefined;
  const top = outer.find(([, gguf]) => gguf === module)?.[0];
  if (top) return `${top}.${suffix}`;
  const layer = /^blk\.(\d+)\.(.+)$/.exec(module);
  const inner = layer && modules[architecture].find(([, gguf]) => gguf === layer[2])?.[0];
  return inner ? `model.layers.${layer[1]}.${inner}.${suffix}` : undefined;
}

/** Which of a llama model's projections rotate, and are therefore stored with interleaved rows: 'q', 'k' or neither. */
export const rotatedProjection = (architecture: GgufArchitecture, hfName: string): 'q' | 'k' | undefined => {
  if (architecture !== 'llama') return undefined;
  return /\.self_attn\.q_proj\./.test(hfName) ? 'q' : /\.self_attn\.k_proj\./.test(hfName) ? 'k' : undefined;
};

/** Gemma's norms multiply by 1 + weight; GGUF stores that sum. */
export const storedPlusOne = (architecture: GgufArchitecture, hfName: string): boolean =>
  architecture === 'gemma2' && /norm\.weight$/.test(hfName);
