import type { NDArray } from '../../tensor/array.js';

export interface TensorInfo {
  /** element type as the format names it: 'BF16' (safetensors), 'Q4_K' (GGUF) */
  readonly dtype: string;
  /** row-major shape; a linear layer's weight is [out, in] as in Hugging Face checkpoints */
  readonly shape: readonly number[];
  /** bytes in the file */
  readonly byteLength: number;
}

export type FloatDType = 'f32' | 'f16' | 'bf16';

export interface ReadOptions {
  /** element type of the result for floating-point and quantized tensors (default f32); integers and booleans keep their own */
  readonly dtype?: FloatDType;
  /** turns a matrix [out, in] into [in, out] while reading */
  readonly transpose?: boolean;
}

/** Named tensors of a checkpoint, whatever its format. Reading streams through small buffers into the result, so that no tensor is held twice. */
export interface TensorSource {
  readonly names: readonly string[];
  /** Throws a CheckpointError that lists near names where there is no such tensor. */
  info(name: string): TensorInfo;
  read(name: string, options?: ReadOptions): Promise<NDArray>;
  /** what the file says about itself; for GGUF its key-value section */
  readonly metadata: Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}
