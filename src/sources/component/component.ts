import type { ComponentAttachment } from '../../config/config.ts';
import { createLifecycle } from '../../kit/lifecycle.ts';
import type { Accept } from '../../packet/receipt.ts';
import { createFlow } from '../flow.ts';
import type { Source } from '../source.ts';
import { type Connection, type ConnectionOptions, createConnection } from './connection.ts';
import { createNodeNames } from './node-names.ts';

export interface ComponentOptions extends Omit<ConnectionOptions, 'flow' | 'names' | 'node'> {
  readonly attachment: ComponentAttachment;
  readonly accept: Accept;
}

/** A component (XEP-0114) of one chat server: a connection to each of its nodes, which share what may be uncommitted. */
export function createComponentSource(options: ComponentOptions): Source {
  const { attachment, accept } = options;
  const flow = createFlow(accept, {
    maxBytes: attachment.maxUncommittedBytes,
    onStop: () => each((connection) => connection.pause()),
    onGo: () => each((connection) => connection.resume()),
  });
  const names = createNodeNames();
  const connections = attachment.nodes.map((node) => createConnection({ ...options, node, names, flow }));

  function each(act: (connection: Connection) => void): void {
    connections.forEach(act);
  }

  const lifecycle = createLifecycle({
    start: async () => each((connection) => connection.open()),
    stop: async () => each((connection) => connection.close()),
  });

  return {
    name: attachment.name,
    get uncommittedBytes() {
      return flow.uncommittedBytes;
    },
    renewWant: (want) => each((connection) => connection.renewWant(want)),
    ...lifecycle,
  };
}
