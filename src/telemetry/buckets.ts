/** Upper bounds of histograms, in seconds. Attempts: from a backend on this machine to a `call_timeout` of a minute. */
export const attemptBuckets: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Callbacks: most take microseconds, the slowest end at their deadline. */
export const callbackBuckets: readonly number[] = [0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5];

/** Transactions: from a fast disk to one that is failing. */
export const commitBuckets: readonly number[] = [0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

/** Waits that may be a backend's whole outage: up to three days. */
export const waitBuckets: readonly number[] = [
  0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 259_200,
];
