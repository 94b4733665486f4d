import type { ParamSpec } from '../../contracts/index.js';
import { allocate, type NDArray } from '../../tensor/array.js';
import type { DType } from '../../tensor/dtype.js';
import { VitroError } from '../../tensor/errors.js';
import { type Tree, treeEntries } from '../../tensor/tree.js';
import type { FloatDType, TensorSource } from '../checkpoint/tensorSource.js';
import { asWords, transposePanel } from '../checkpoint/transposition.js';

/** Modules of a checkpoint that hold several of ours side by side along the output axis. */
export interface FusedModules {
  /** ours, in the order in which they lie in the fused tensor, e.g. self_attn.q_proj */
  readonly ours: readonly string[];
  readonly theirs: string;
  /** the order repeats this often, each time with an equal share of every part (GPT-NeoX: once a head); default 1 */
  readonly blocks?: number;
}

/**
 * How a family names and stores what we store: our tree with other module names. Matrices are stored [out, in] unless `inOut`, as PyTorch's
 * linear layers do; ours are [in, out].
 */
export interface Layout {
  /** before all names but the head's, e.g. `model.` */
  readonly prefix: string;
  /** the list of layers; default `layers` */
  readonly layers?: string;
  /** modules of other names, ours to theirs, at the top or within a layer */
  readonly modules?: Readonly<Record<string, string>>;
  readonly fused?: readonly FusedModules[];
  readonly inOut?: boolean;
  /** how stacked expert matrices are stored: one tensor for each expert, or joint tensors with gate and up side by side */
  readonly experts?: 'each' | 'joint';
  /** names of tensors that may be there and are not read (buffers of older versions) */
  readonly ignores?: readonly RegExp[];
}

/** One of our parameters within a group. */
export interface GroupPart {
  readonly path: string;
  readonly shape: readonly number[];
}

/** Tensors of a checkpoint and the parameters that they hold, all of one kind. */
export interface TensorGroup {
  /** one tensor, or one for each expert, which are stacked along a new first axis */
  readonly tensors: readonly string[];
  readonly stacked: boolean;
  readonly parts: readonly GroupPart[];
  readonly blocks: number;
  /** whether the last two axes are swapped in the checkpoint */
  readonly transposed: boolean;
}

const layerPattern = /^layers\.(\d+)\.(.+)$/;

/** Groups of all parameters under a layout, in the order of the tree. */
export function tensorGroups(layout: Layout, specs: unknown): TensorGroup[] {
  const entries = treeEntries(specs as Tree<ParamSpec>);
  const shapes = new Map(entries.map(([path, spec]) => [path, spec.shape]));
  const done = new Set<string>();
  const groups: TensorGroup[] = [];
  const part = (path: string): GroupPart => {
    done.add(path);
    return { path, shape: shapes.get(path) as readonly number[] };
  };
  for (const [path, spec] of entries) {
    if (done.has(path)) continue;
    const within = layerPattern.exec(path);
    const [ours, before] = within
      ? [within[2] as string, `${layout.prefix}${layout.layers ?? 'layers'}.${within[1]}.`]
      : [path, path.startsWith('lm_head.') ? '' : layout.prefix];
    const owner = within ? `layers.${within[1]}.` : '';
    const transposed = spec.role === 'matrix' && !layout.inOut;
    const base = { stacked: false, blocks: 1, transposed };
    const expert = /^mlp\.experts\.(\w+)$/.exec(ours)?.[1];
    const dot = ours.lastIndexOf('.');
    const [module, leaf] = [ours.slice(0, dot), ours.slice(dot + 1)];
    const fused = layout.fused?.find((f) => f.ours.includes(module));
    if (expert !== undefined && layout.experts === 'joint') {
      const joint = expert === 'down_proj' ? ['down_proj'] : ['gate_proj', 'up_proj'];
      const name = `${before}mlp.experts.${expert === 'down_proj' ? 'down_proj' : 'gate_up_proj'}`;
      groups.push({ ...base, tensors: [name], parts: joint.map((j) => part(`${owner}mlp.experts.${j}`)) });
    } else if (expert !== undefined && layout.experts === 'each') {
      const tensors = Array.from({ length: spec.shape[0] as number }, (_, e) => `${before}mlp.experts.${e}.${expert}.weight`);
      groups.push({ ...base, stacked: true, tensors, parts: [part(path)] });
    } else if (fused) {
      const parts = fused.ours.map((m) => part(`${owner}${m}.${leaf}`));
      groups.push({ ...base, blocks: fused.blocks ?? 1, tensors: [`${before}${fused.theirs}.${leaf}`], parts });
    } else {
      const name = layout.modules && Object.hasOwn(layout.modules, module) ? layout.modules[module] : module;
      groups.push({ ...base, tensors: [`${before}${name}.${leaf}`], parts: [part(path)] });
    }
  }
  return groups;
}

/** Batch, input and output sizes of a parameter: [..., in, out]; a vector has one input. */
function sizes(shape: readonly number[]): { batch: number; rows: number; cols: number } {
  const cols = shape.at(-1) ?? 1;
  const rows = shape.length > 1 ? (shape.at(-2) as number) : 1;
  return { batch: shape.slice(0, -2).reduce((a, b) => a * b, 1), rows, cols };
}

/** Shape of each tensor of the group in the checkpoint. */
export function storedShape(group: TensorGroup): readonly number[] {
  const [first] = group.parts as [GroupPart];
  const out = group.parts.reduce((n, { shape }) => n + (shape.at(-1) as number), 0);
  const whole = [...first.shape.slice(0, -1), out];
  const one = group.stacked ? whole.slice(1) : whole;
  if (!group.transposed || one.length < 2) return one;
  return [...one.slice(0, -2), one.at(-1) as number, one.at(-2) as number];
}

/** Whether the group is one tensor that becomes one parameter as it is, or as the transposed matrix. */
export const isPlain = (group: TensorGroup): boolean => !group.stacked && group.parts.length === 1 && storedShape(group).length <= 2;

/** Copies between one stored tensor and its share of the parts: piece `which` of a stack. */
function copyPieces(group: TensorGroup, which: number, stored: NDArray, parts: readonly NDArray[], direction: 'load' | 'store'): void {
  const theirs = asWords(stored.data) as Int32Array;
  const { batch, rows } = sizes((group.parts[0] as GroupPart).shape);
  const total = group.parts.reduce((n, p) => n + sizes(p.shape).cols, 0);
  const [first, last] = group.stacked ? [which, which + 1] : [0, batch];
  for (let b = first; b < last; b++) {
    const origin = group.stacked ? 0 : b * rows * total;
    let at = 0;
    for (let block = 0; block < group.blocks; block++)
      for (const [i, { shape }] of group.parts.entries()) {
        const ours = asWords((parts[i] as NDArray).data) as Int32Array;
        const { cols } = sizes(shape);
        const width = cols / group.blocks;
        const start = b * rows * cols + block * width;
        if (group.transposed) {
          const wide = { data: ours, offset: start, stride: cols };
          const tall = { data: theirs, offset: origin + at * rows, stride: rows };
          if (direction === 'load') transposePanel(tall, wide, width, rows);
          else transposePanel(wide, tall, rows, width);
        } else
          for (let r = 0; r < rows; r++) {
            const [mine, other] = [start + r * cols, origin + r * total + at];
            if (direction === 'load') ours.set(theirs.subarray(other, other + width), mine);
            else theirs.set(ours.subarray(mine, mine + width), other);
          }
        at += width;
      }
  }
}

/** Reads the parameters of a group; at most one stored tensor is held beside them. */
export async function readGroup(source: TensorSource, group: TensorGroup, dtype: FloatDType): Promise<NDArray[]> {
  const [name] = group.tensors as [string];
  if (isPlain(group)) return [await source.read(name, { dtype, transpose: group.transposed && storedShape(group).length === 2 })];
  const parts = group.parts.map(({ shape }) => allocate(dtype, shape));
  for (const [i, tensor] of group.tensors.entries()) {
    const stored = await source.read(tensor, { dtype });
    copyPieces(group, i, stored, parts, 'load');
    stored.dispose('copied into the model');
  }
  return parts;
}

/** One stored tensor of a group made of the parameters: the reverse of readGroup. */
export function storedTensor(group: TensorGroup, which: number, parts: readonly NDArray[]): NDArray {
  const dtype = (parts[0] as NDArray).dtype as DType;
  if (parts.some((p) => p.dtype !== dtype))
    throw new VitroError(`${group.parts.map((p) => p.path).join(', ')} have different dtypes; they are stored in one tensor`);
  const stored = allocate(dtype, storedShape(group));
  copyPieces(group, which, stored, parts, 'store');
  return stored;
}
