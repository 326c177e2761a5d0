/** A value now or later. Callbacks decide which, and where they decide for now no promise is made. */
export type Eventually<T> = T | Promise<T>;

/** Goes on with `next` at once, or when the promise resolves. */
export function andThen<T, U>(value: Eventually<T>, next: (value: T) => Eventually<U>): Eventually<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Whether a stranger's value must be waited for. Throws what its `then` throws when it is looked at. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
