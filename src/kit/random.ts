/** A number in [0, 1). Comes in as a dependency, so that tests decide what chance does. */
export type Random = () => number;

export const systemRandom: Random = () => Math.random();
