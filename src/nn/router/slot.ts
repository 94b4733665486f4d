import type { Method, Settings } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';

/** The slot "MoE router": which experts a token uses, and with which weights. Legend: N tokens, E experts. */

/** The slot, for the generated index. */
export const slot = { id: 'router', record: 'routers', summary: 'which experts of a mixture a token uses' } as const;

export interface RouterMethod extends Method {
  /** Weights [N, E] of the experts for every token from the router's logits [N, E]; zero for experts that are not used. */
  route(logits: Tensor, settings: Settings): Tensor;
}
