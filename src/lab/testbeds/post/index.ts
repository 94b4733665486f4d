import type { Testbed } from '../testbed.js';
import { banditTestbed } from './bandit.js';
import { preferenceAbouts } from './preferences.js';
import { rewardAbouts } from './rewards.js';
import { sftAbouts } from './sft.js';
import { subtasks } from './subtasks.js';
import { type PostTestbedAbout, postTestbed } from './testbed.js';

/** Every testbed of fine-tuning, preferences and reward models as it is described. */
export const postAbouts: readonly PostTestbedAbout[] = [...sftAbouts, ...preferenceAbouts, subtasks, ...rewardAbouts];

/** Every testbed of fine-tuning, preferences and reward models. */
export const postTestbeds: readonly Testbed[] = [...postAbouts.map(postTestbed), banditTestbed];
