import { describe, expect, it } from 'vitest';
import { decoderModel } from '../../src/models/index.js';
import { attentions } from '../../src/nn/attention/index.js';
import { positions } from '../../src/nn/position/index.js';
import { schedules } from '../../src/optim/schedule/index.js';
import { optimizers } from '../../src/optim/transform/index.js';
import { objectives } from '../../src/train/objective/index.js';
import { distance, recipeWith, startValues, tinyConfig, train, valuesOf } from './support.js';

const args = { max_steps: 2, logging_steps: 1 };

/** Trains two steps and says whether anything moved. */
async function moved(change: Parameters<typeof train>[0]): Promise<boolean> {
  const { result, lines } = await train({ args, ...change });
  expect(result.status).toBe('finished');
  expect(lines).toHaveLength(2);
  expect(lines.every((line) => Number.isFinite(line.loss))).toBe(true);
  if (change?.model) return Object.values(valuesOf(result.params)).flat().every(Number.isFinite);
  return distance(valuesOf(result.params), startValues(0)) > 0;
}

describe('two steps of the training loop', () => {
  it.each(Object.keys(optimizers))('with the optimizer %s', async (optimizer) => {
    expect(await moved({ recipe: recipeWith({ optimizer }) })).toBe(true);
  });

  it.each(Object.keys(objectives))('with the objective %s', async (objective) => {
    expect(await moved({ recipe: recipeWith({ optimizer: 'adamw', objective }) })).toBe(true);
  });

  it.each(Object.keys(schedules))('with the schedule %s', async (schedule) => {
    expect(await moved({ recipe: recipeWith({ optimizer: 'adamw', schedule }), args: { ...args, warmup_steps: 1 } })).toBe(true);
  });

  it.each(Object.keys(attentions))('with the attention %s', async (attention_method) => {
    expect(await moved({ model: decoderModel({ ...tinyConfig, attention_method }) })).toBe(true);
  });

  it.each(Object.keys(positions))('with the position %s', async (position_method) => {
    expect(await moved({ model: decoderModel({ ...tinyConfig, position_method }) })).toBe(true);
  });
});
