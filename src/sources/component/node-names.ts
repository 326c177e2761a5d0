/**
 * Which connection has which node of a host. A node's name stands for how far it was taken in, so that two nodes of one
 * name would each undo what is known of the other.
 */
export interface NodeNames {
  /** Takes a name for a connection; gives the other connection that has it already, and then it stays with that. */
  claim(name: { readonly host: string; readonly node: string }, connection: string): string | undefined;
  /** The connection is gone. */
  release(connection: string): void;
}

export function createNodeNames(): NodeNames {
  const holders = new Map<string, string>();

  return {
    claim: ({ host, node }, connection) => {
      const name = `${host} ${node}`;
      const holder = holders.get(name) ?? connection;
      holders.set(name, holder);
      return holder === connection ? undefined : holder;
    },
    release: (connection) => {
      for (const [name, holder] of holders) if (holder === connection) holders.delete(name);
    },
  };
}
