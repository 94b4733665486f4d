import type { Testbed } from '../testbed.js';
import { sftAbouts } from './sft.js';
import { type PostTestbedAbout, postTestbed } from './testbed.js';

/** Every testbed of fine-tuning, preferences and reward models as it is described. */
export const postAbouts: readonly PostTestbedAbout[] = [...sftAbouts];

/** Every testbed of fine-tuning, preferences and reward models. */
export const postTestbeds: readonly Testbed[] = postAbouts.map(postTestbed);
