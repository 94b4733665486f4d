import { OpError } from '../errors.js';
import { expectAxis, expectDType, expectShape, expectValidShape, operands, type ShapeRules } from './check.js';

export const leafRules: ShapeRules<'input' | 'constant' | 'iota' | 'dimValue' | 'threefry'> = {
  input: (_, { name }) => {
    throw new OpError('input', `"${name}" declares its own shape; create it with inputTensor(name, shape, dtype)`);
  },
  constant: (inputs, { value }) => {
    operands('constant', inputs, 0);
    return [{ shape: value.shape, dtype: value.dtype }];
  },
  iota: (inputs, { shape, axis, dtype }) => {
    operands('iota', inputs, 0);
    expectValidShape('iota', shape);
    expectAxis('iota', axis, shape.length, shape);
    expectDType('iota', 'the result', dtype, ['i32', 'f32']);
    return [{ shape, dtype }];
  },
  dimValue: (inputs, { dim, dtype }) => {
    operands('dimValue', inputs, 0);
    expectValidShape('dimValue', [dim]);
    expectDType('dimValue', 'the result', dtype, ['i32', 'f32']);
    return [{ shape: [], dtype }];
  },
  threefry: (inputs, { shape }) => {
    const [key] = operands('threefry', inputs, 1);
    expectDType('threefry', 'the key', key.dtype, ['u32']);
    expectShape('threefry', 'the key', key.shape, [2], 'two words');
    expectValidShape('threefry', shape);
    return [{ shape, dtype: 'u32' }];
  },
};
