import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import type { ModelSpec, Port } from '../../../src/tensor/backends/types.js';
import { type DType, dtypeInfo } from '../../../src/tensor/dtype.js';

type Dims = readonly (number | string)[];

export interface NodeDef {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name?: string;
  readonly attrs?: Readonly<Record<string, number | string>>;
}

export interface ValueDef extends Port {
  readonly dims: Dims;
}

/** An initializer whose bytes live outside of the model: at `location` (default: its own name), byte `offset`. */
export interface ExternalDef extends ValueDef {
  readonly location?: string;
  readonly offset?: number;
  readonly length?: number;
}

const valueInfo = (v: ValueDef) =>
  create(ValueInfoProtoSchema, {
    name: v.name,
    type: create(TypeProtoSchema, {
      value: {
        case: 'tensorType',
        value: create(TypeProto_TensorSchema, {
          elemType: dtypeInfo[v.dtype].onnx,
          shape: create(TensorShapeProtoSchema, {
            dim: v.dims.map((d) =>
              create(TensorShapeProto_DimensionSchema, {
                value: typeof d === 'number' ? { case: 'dimValue', value: BigInt(d) } : { case: 'dimParam', value: d },
              }),
            ),
          }),
        }),
      },
    }),
  });

const attribute = (name: string, value: number | string) =>
  typeof value === 'number'
    ? create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) })
    : create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.STRING, s: new TextEncoder().encode(value) });

/** Serializes a small graph with the independent encoder onnx-buf; opset 21. */
export function model(
  nodes: readonly NodeDef[],
  inputs: readonly ValueDef[],
  outputs: readonly ValueDef[],
  externals: readonly ExternalDef[] = [],
): ModelSpec {
  const proto = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: 21n }),
      create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n }),
    ],
    graph: create(GraphProtoSchema, {
      name: 'test',
      node: nodes.map((n) =>
        create(NodeProtoSchema, {
          opType: n.op,
          name: n.name ?? n.outputs[0] ?? '',
          input: [...n.inputs],
          output: [...n.outputs],
          attribute: Object.entries(n.attrs ?? {}).map(([k, v]) => attribute(k, v)),
        }),
      ),
      input: inputs.map(valueInfo),
      output: outputs.map(valueInfo),
      initializer: externals.map((e) =>
        create(TensorProtoSchema, {
          name: e.name,
          dataType: dtypeInfo[e.dtype].onnx,
          dims: e.dims.map((d) => BigInt(d)),
          dataLocation: TensorProto_DataLocation.EXTERNAL,
          externalData: Object.entries({ location: e.location ?? e.name, offset: e.offset, length: e.length })
            .filter(([, v]) => v !== undefined)
            .map(([key, v]) => create(StringStringEntryProtoSchema, { key, value: String(v) })),
        }),
      ),
    }),
  });
  return { model: toBinary(ModelProtoSchema, proto), inputs, outputs };
}

export const value = (name: string, dtype: DType, dims: Dims): ValueDef => ({ name, dtype, dims });

/** z = op(x, y) over one dtype and symbolic vectors. */
export const binary = (op: string, dtype: DType = 'f32', dims: Dims = ['n']): ModelSpec =>
  model([{ op, inputs: ['x', 'y'], outputs: ['z'] }], [value('x', dtype, dims), value('y', dtype, dims)], [value('z', dtype, dims)]);

/** y = op(x). */
export const unary = (op: string, dtype: DType = 'f32', dims: Dims = ['n']): ModelSpec =>
  model([{ op, inputs: ['x'], outputs: ['y'] }], [value('x', dtype, dims)], [value('y', dtype, dims)]);
