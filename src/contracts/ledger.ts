/** What a run cost. Every count is a total over the run; zero means "none used", never "not counted". */
export interface Ledger {
  /** tokens that entered a training step */
  readonly tokens_trained: number;
  /** tokens that the model wrote; absent in loops that do not generate */
  readonly tokens_generated?: number;
  /** tokens that were scored without training (validation) */
  readonly tokens_evaluated: number;
  /** floating-point operations of the model, forward and backward, validation included */
  readonly model_flops: number;
  /** floating-point operations of the optimizer */
  readonly optimizer_flops: number;
  /** wall-clock time in seconds, compilation included */
  readonly wall_seconds: number;
  /** wall-clock time of the training steps alone, in seconds */
  readonly train_seconds: number;
  /** highest resident memory of the process that was seen during the run, in bytes (of all runs that shared the process) */
  readonly peak_rss_bytes: number;
}
