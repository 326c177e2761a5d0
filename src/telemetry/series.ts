/** What stands for every value of a label beyond those that a series keeps apart. */
export const otherValue = 'other';

/** One cell for each combination of label values that was asked for. */
export interface Series<C, Values extends readonly string[] = readonly string[]> {
  /** The cell of these label values, in the order of the labels; made at the first call. A few nanoseconds. */
  at(...values: Values): C;
  cells(): Generator<readonly [values: readonly string[], cell: C]>;
}

interface Branch<C> {
  cell: C | undefined;
  readonly branches: Map<string, Branch<C>>;
}

/** Values that one label may have below the same values before it: whatever comes after these is counted as `other`. */
const mostValues = 1000;

/**
 * A tree of cells, a level for each label. Labels come from the configuration; should that ever fail, no label can
 * fill the memory of this process, or of the one that scrapes it.
 */
export function createSeries<C, Values extends readonly string[]>(makeCell: () => C): Series<C, Values> {
  const root: Branch<C> = { cell: undefined, branches: new Map() };

  function at(...values: Values): C {
    let branch = root;
    for (const value of values) branch = branch.branches.get(value) ?? grow(branch, value);
    branch.cell ??= makeCell();
    return branch.cell;
  }

  return { at, cells: () => cellsBelow(root, []) };
}

function grow<C>(branch: Branch<C>, wanted: string): Branch<C> {
  const value = branch.branches.size < mostValues ? wanted : otherValue;
  const grown = branch.branches.get(value) ?? { cell: undefined, branches: new Map<string, Branch<C>>() };
  branch.branches.set(value, grown);
  return grown;
}

function* cellsBelow<C>({ cell, branches }: Branch<C>, values: readonly string[]): Generator<readonly [readonly string[], C]> {
  if (cell !== undefined) yield [values, cell];
  for (const [value, below] of branches) yield* cellsBelow(below, [...values, value]);
}
