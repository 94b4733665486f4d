import { CheckpointFile } from './checkpointFile.js';
import { FileSource, openWith } from './fileSource.js';
import { type GgufHeader, readGgufHeader } from './ggufHeader.js';
import { type GgufField, plainValue } from './ggufTypes.js';

/** An open GGUF file under its own tensor names; `metadata` holds plain values. */
export class GgufSource extends FileSource {
  /** the metadata with types, in the file's order, as `writeGguf` takes it */
  readonly fields: Readonly<Record<string, GgufField>>;

  constructor(file: CheckpointFile, { fields, tensors }: GgufHeader) {
    super(file, tensors, Object.fromEntries(Array.from(fields, ([key, field]) => [key, plainValue(field)])));
    this.fields = Object.fromEntries(fields);
  }
}

/** Opens a GGUF file (version 2 or 3). Quantized tensors are read as floats. `openCheckpoint` gives the same file under Hugging Face's names. */
export async function openGguf(path: string): Promise<GgufSource> {
  return openWith(await CheckpointFile.open(path), async (file) => new GgufSource(file, await readGgufHeader(file)));
}
