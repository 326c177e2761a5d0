/**
 * Receives the result of a call: one of the two methods is called, once. The calls that every event makes take a completion, because a
 * promise with its closures and its turn of the microtask queue costs more than most of these calls. The methods must not throw: an error
 * in them ends the thread, and with it the calls that wait for their results.
 */
export interface Completion<T> {
  done(result: T): void;
  failed(error: Error): void;
}

/** The promise of a call that takes a completion. */
export function promised<T>(call: (completion: Completion<T>) => void): Promise<T> {
  return new Promise((done, failed) => call({ done, failed }));
}
