import { fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { AttributeProto_AttributeType, type GraphProto, ModelProtoSchema, TensorProto_DataLocation } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { sym } from '../../../src/tensor/dim.js';
import { VitroError } from '../../../src/tensor/errors.js';
import { encodeModel, float, type OnnxGraph, type OnnxModel, type OnnxNode } from '../../../src/tensor/onnx/encoder.js';

const node = (extra: Partial<OnnxNode> = {}): OnnxNode => ({
  name: 'n0_add',
  op: 'Add',
  domain: '',
  inputs: ['a', 'b'],
  outputs: ['c'],
  attrs: {},
  ...extra,
});

const graph = (extra: Partial<OnnxGraph> = {}): OnnxGraph => ({
  kind: 'graph',
  name: 'g',
  nodes: [],
  inputs: [],
  outputs: [],
  initializers: [],
  ...extra,
});

const model = (g: OnnxGraph): OnnxModel => ({
  graph: g,
  opsets: new Map([
    ['', 21],
    ['com.microsoft', 1],
  ]),
  irVersion: 10,
  producer: 'vitro',
  metadata: new Map([['key', 'value']]),
});

const decode = (g: OnnxGraph) => fromBinary(ModelProtoSchema, encodeModel(model(g)));
const decodedGraph = (g: OnnxGraph): GraphProto => decode(g).graph as GraphProto;

describe('ONNX encoder against an independent decoder', () => {
  it('writes the head of a model', () => {
    const m = decode(graph({ name: 'net' }));
    expect(m.irVersion).toBe(10n);
    expect(m.producerName).toBe('vitro');
    expect(m.opsetImport.map((o) => [o.domain, o.version])).toEqual([
      ['', 21n],
      ['com.microsoft', 1n],
    ]);
    expect(m.metadataProps.map((p) => [p.key, p.value])).toEqual([['key', 'value']]);
    expect(m.graph?.name).toBe('net');
  });

  it('writes nodes with every kind of attribute', () => {
    const body = graph({ name: 'body', nodes: [node({ inputs: ['x', ''] })], outputs: [{ name: 'c', dtype: 'i64', shape: [] }] });
    const value = { kind: 'tensor', name: 'v', dtype: 'i32', shape: [2], data: Int32Array.of(-1, 2 ** 31 - 1) } as const;
    const attrs = { axis: -1, big: 2 ** 40, scale: float(0.5), mode: 'add', perm: [1, 0, -(2 ** 53 - 1)], none: [], value, body };
    const [n] = decodedGraph(graph({ nodes: [node({ domain: 'com.microsoft', attrs })] })).node;
    expect([n?.name, n?.opType, n?.domain, n?.input, n?.output]).toEqual(['n0_add', 'Add', 'com.microsoft', ['a', 'b'], ['c']]);
    const attr = (name: string) => n?.attribute.find((a) => a.name === name);
    expect(attr('axis')).toMatchObject({ i: -1n, type: AttributeProto_AttributeType.INT });
    expect(attr('big')?.i).toBe(2n ** 40n);
    expect(attr('scale')).toMatchObject({ f: 0.5, type: AttributeProto_AttributeType.FLOAT });
    expect(attr('mode')?.type).toBe(AttributeProto_AttributeType.STRING);
    expect(Buffer.from(attr('mode')?.s ?? []).toString()).toBe('add');
    expect(attr('perm')).toMatchObject({ ints: [1n, 0n, -(2n ** 53n - 1n)], type: AttributeProto_AttributeType.INTS });
    expect(attr('none')).toMatchObject({ ints: [], type: AttributeProto_AttributeType.INTS });
    expect(attr('value')).toMatchObject({ type: AttributeProto_AttributeType.TENSOR, t: { dims: [2n], dataType: 6, name: 'v' } });
    expect(new Int32Array((attr('value')?.t?.rawData ?? new Uint8Array()).slice().buffer)).toEqual(value.data);
    expect(attr('body')?.type).toBe(AttributeProto_AttributeType.GRAPH);
    expect(attr('body')?.g?.node[0]?.input).toEqual(['x', '']);
    expect(attr('body')?.g?.output[0]?.name).toBe('c');
  });

  it('writes ports with fixed and symbolic sizes', () => {
    const g = decodedGraph(
      graph({ inputs: [{ name: 'x', dtype: 'f32', shape: [0, sym('B'), 300] }], outputs: [{ name: 'y', dtype: 'bool', shape: [] }] }),
    );
    const type = g.input[0]?.type?.value;
    expect(type?.case).toBe('tensorType');
    if (type?.case !== 'tensorType') return;
    expect(type.value.elemType).toBe(1);
    expect(type.value.shape?.dim.map((d) => d.value)).toEqual([
      { case: 'dimValue', value: 0n },
      { case: 'dimParam', value: 'B' },
      { case: 'dimValue', value: 300n },
    ]);
    const scalar = g.output[0]?.type?.value;
    expect(scalar?.case === 'tensorType' && scalar.value.shape?.dim).toEqual([]);
  });

  it('writes embedded and external initializers', () => {
    const data = Float32Array.from({ length: 1000 }, (_, i) => i / 7);
    const external = { location: 'weights.bin', offset: 4096, length: 4000 };
    const g = decodedGraph(
      graph({
        initializers: [
          { kind: 'tensor', name: 'w', dtype: 'f32', shape: [10, 100], data },
          { kind: 'tensor', name: 'e', dtype: 'f32', shape: [1000], data: external },
          { kind: 'tensor', name: 'z', dtype: 'i64', shape: [0], data: new BigInt64Array(0) },
        ],
      }),
    );
    const [w, e, z] = g.initializer;
    expect(new Float32Array((w?.rawData ?? new Uint8Array()).slice().buffer)).toEqual(data);
    expect(w?.dims).toEqual([10n, 100n]);
    expect(e?.dataLocation).toBe(TensorProto_DataLocation.EXTERNAL);
    expect(e?.externalData.map((p) => [p.key, p.value])).toEqual(Object.entries(external).map(([k, v]) => [k, String(v)]));
    expect(z?.dims).toEqual([0n]);
  });

  it('is canonical: decoding and encoding again gives the same bytes', () => {
    const text = fc.string({ minLength: 0, maxLength: 300, unit: 'grapheme' });
    fc.assert(
      fc.property(text, text, fc.array(fc.maxSafeInteger(), { maxLength: 40 }), (name, op, ints) => {
        const bytes = encodeModel(model(graph({ nodes: [node({ name, op, inputs: [op, name], attrs: { ints, i: ints[0] ?? 0 } })] })));
        const decoded = fromBinary(ModelProtoSchema, bytes);
        expect(decoded.graph?.node[0]?.name).toBe(name);
        expect(decoded.graph?.node[0]?.attribute[0]?.ints.map(Number)).toEqual(ints.map((x) => x + 0));
        expect(Buffer.compare(bytes, toBinary(ModelProtoSchema, decoded))).toBe(0);
      }),
    );
  });

  it('refuses to write more than 2 GB and says what to do', () => {
    // one buffer counted three times, so that the test needs a third of the memory
    const data = new Uint8Array(750_000_000);
    const t = (name: string) => ({ kind: 'tensor', name, dtype: 'u8', shape: [data.length], data }) as const;
    const act = () => encodeModel(model(graph({ initializers: [t('a'), t('b'), t('c')] })));
    expect(act).toThrow(VitroError);
    expect(act).toThrow(/2\.10 GiB.*externalInitializers.*u8\[750000000\]/s);
  });

  it('writes 6600 nodes quickly', () => {
    const nodes = Array.from({ length: 6600 }, (_, i) =>
      node({
        name: `n${i}_matmul`,
        inputs: [`n${i - 1}_matmul`, `const.${i}`],
        outputs: [`n${i}_matmul`],
        attrs: { transA: 1, alpha: float(2) },
      }),
    );
    const start = performance.now();
    encodeModel(model(graph({ nodes })));
    // about 10 ms on an idle machine
    expect(performance.now() - start).toBeLessThan(150);
  });
});
