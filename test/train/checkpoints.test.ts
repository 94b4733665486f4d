import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WritableHandle } from '../../src/models/index.js';
import { array, NDArray } from '../../src/tensor/index.js';
import { type CheckpointOptions, CheckpointStore } from '../../src/train/checkpoints.js';
import { recipeWith, train, valuesOf, windows } from './support.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vitro-checkpoints-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const position = (global_step: number) => ({
  global_step,
  max_steps: 9,
  epoch: 0.5,
  best_metric: null,
  cursor: { step: global_step },
  ledger: { steps: global_step },
  log_history: [{ global_step, loss: 1.25, 'val/loss': null }],
});
const state = (x: number) => ({
  weights: { a: array([x, 2 * x]), list: [array([[x]])] },
  codes: new NDArray('u8', [3], Uint8Array.of(1, 255, x)),
  half: new NDArray('bf16', [2], Uint16Array.of(0x3f80, 0x4049)),
  key: new NDArray('u32', [2], Uint32Array.of(7, 2 ** 32 - 1)),
});
const store = (options: Partial<CheckpointOptions> = {}) => new CheckpointStore(folder, { identity: 'one', ...options });

/** Files that take so many bytes in all, and then find the disk full. */
function fullDisk(bytes: number): NonNullable<CheckpointOptions['write']> {
  let left = bytes;
  return {
    openFile: async (path): Promise<WritableHandle> => {
      const file = await open(path, 'wx');
      return {
        write: async (data, offset, length, at) => {
          left -= length;
          if (left < 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
          return file.write(data, offset, length, at);
        },
        sync: () => file.sync(),
        close: () => file.close(),
      };
    },
  };
}

describe('checkpoints', () => {
  it('bring back arrays of every type, the position and the log', async () => {
    await store().save(state(3), position(4), {});
    const saved = await store().latest(state(0));
    expect(saved?.state).toEqual(state(3));
    expect(saved?.state.codes.dtype).toBe('u8');
    expect(saved?.state.half.dtype).toBe('bf16');
    expect(saved?.trainer).toEqual({ format: 1, identity: 'one', ...position(4) });
    expect(await new CheckpointStore(join(folder, 'none'), { identity: 'one' }).latest(state(0))).toBeUndefined();
  });

  it('keep the newest ones, and go back to one', async () => {
    for (const step of [1, 2, 10]) await store({ save_total_limit: 2 }).save(state(step), position(step), {});
    expect(await store().steps()).toEqual([2, 10]);
    await store().removeAfter(2);
    expect((await store().latest(state(0)))?.trainer.global_step).toBe(2);
  });

  it('refuse what belongs to another run, is damaged or of another version', async () => {
    await store().save(state(1), position(1), {});
    await expect(store({ identity: 'two' }).latest(state(0))).rejects.toThrow(/checkpoint-1 belongs to a run with other settings or data/);
    await expect(store().latest({ ...state(0), more: array([1]) })).rejects.toThrow(/lacks more/);
    await writeFile(join(folder, 'checkpoint-1', 'trainer_state.json'), '{"format": 1, ');
    await expect(store().latest(state(0))).rejects.toThrow(/trainer_state.json cannot be read .* go on from an earlier checkpoint/);
    await writeFile(join(folder, 'checkpoint-1', 'trainer_state.json'), '{"global_step": 3, "log_history": []}');
    await expect(store().latest(state(0))).rejects.toThrow(/is not what this version writes/);
  });

  it('remove what a killed process left, and nothing else', async () => {
    await store().save(state(1), position(1), {});
    await mkdir(join(folder, '.checkpoint-2.4711.tmp', 'deep'), { recursive: true });
    await mkdir(join(folder, '.checkpoint-notes'));
    await store().removeTemporary();
    expect((await readdir(folder)).sort()).toEqual(['.checkpoint-notes', 'checkpoint-1']);
  });

  it.each([
    ['before the first byte', () => 0],
    ['within the training state', (size: number) => size / 2],
    ['within trainer_state.json', (size: number) => size + 50],
  ])('leave the old one whole and say so where the disk is full: %s', async (_, bytes) => {
    await store().save(state(1), position(1), {});
    const { size } = await stat(join(folder, 'checkpoint-1', 'training_state.safetensors'));
    const save = store({ write: fullDisk(bytes(size)) }).save(state(2), position(2), {});
    await expect(save).rejects.toThrow(/the disk is full; free some space.*checkpoint-1 is intact, and the run can go on from it/);
    expect(await readdir(folder)).toEqual(['checkpoint-1']);
    expect((await store().latest(state(0)))?.state).toEqual(state(1));
    await store().save(state(2), position(2), {});
    expect((await store().latest(state(0)))?.trainer.global_step).toBe(2);
  });

  it('leave nothing half-written where the model cannot be exported', async () => {
    const exportModel = async (path: string): Promise<void> => {
      await writeFile(join(path, 'config.json'), '{}');
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    };
    await expect(store({ exportModel }).save(state(1), position(1), {})).rejects.toThrow(/disk is full.*there is no earlier checkpoint/);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('a training run with checkpoints', () => {
  const recipe = recipeWith({ optimizer: 'adamw' });
  const args = { max_steps: 6, save_steps: 2, logging_steps: 1, ema_decay: 0.5 };

  it('stops at a full disk with the earlier checkpoint whole, and goes on from it to the same bits', async () => {
    const whole = await train({ recipe, args });
    let saves = 0;
    const exportModel = async (): Promise<void> => {
      if (++saves === 2) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    };
    const stopped = train({ recipe, args, data: windows(), checkpoints: store({ exportModel }) });
    await expect(stopped).rejects.toThrow(/checkpoint-4: .*disk is full.*checkpoint-2 is intact/);
    expect(await store().steps()).toEqual([2]);
    let resumed = -1;
    const rest = await train({
      recipe,
      args,
      data: windows(),
      checkpoints: store(),
      onResume: ({ global_step, log_history }) => {
        resumed = global_step;
        expect(log_history.map((line) => line.global_step)).toEqual([1, 2]);
      },
    });
    expect(resumed).toBe(2);
    expect(valuesOf(rest.result.params)).toEqual(valuesOf(whole.result.params));
    expect(valuesOf(rest.result.ema)).toEqual(valuesOf(whole.result.ema));
    expect(rest.lines.map((line) => [line.global_step, line.loss])).toEqual(
      whole.lines.slice(2).map((line) => [line.global_step, line.loss]),
    );
  });

  it('saves when it is stopped between checkpoints, and once only at the end', async () => {
    const abort = new AbortController();
    const onMetrics = (line: { readonly [key: string]: number | null }): void => {
      if (line.global_step === 3) abort.abort();
    };
    await expect(train({ recipe, args, checkpoints: store(), signal: abort.signal, onMetrics })).rejects.toThrow(/abort/i);
    expect(await store().steps()).toEqual([2, 3]);
    const state = JSON.parse(await readFile(join(folder, 'checkpoint-3', 'trainer_state.json'), 'utf8'));
    expect(state).toMatchObject({ global_step: 3, max_steps: 6, best_metric: null });
    await train({ recipe, args, data: windows(), checkpoints: store() });
    expect(await store().steps()).toEqual([4, 6]);
    expect(existsSync(join(folder, 'checkpoint-6', 'training_state.safetensors'))).toBe(true);
  });
});
