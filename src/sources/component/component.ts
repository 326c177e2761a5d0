import type { ComponentAttachment } from '../../config/config.ts';
import { createLifecycle } from '../../kit/lifecycle.ts';
import type { Accept } from '../../model/packet.ts';
import { createFlow } from '../flow.ts';
import type { Outbox } from '../outbox.ts';
import type { Source } from '../source.ts';
import { type Connection, type ConnectionOptions, createConnection } from './connection.ts';
import { createNodeNames } from './node-names.ts';
import { createComponentOutbox } from './outbox.ts';

export interface ComponentOptions extends Omit<ConnectionOptions, 'flow' | 'names' | 'node' | 'outbox' | 'pingTo'> {
  readonly attachment: ComponentAttachment;
  readonly accept: Accept;
}

/**
 * A component (XEP-0114) of one chat server: a connection to each of its nodes, which share what may be uncommitted and
 * what is sent to users.
 */
export function createComponentSource(options: ComponentOptions): Source & { readonly outbox: Outbox } {
  const { attachment, accept } = options;
  const flow = createFlow(accept, {
    maxBytes: attachment.maxUncommittedBytes,
    onStop: () => each((connection) => connection.pause()),
    onGo: () => each((connection) => connection.resume()),
  });
  const names = createNodeNames();
  const pingTo = attachment.hosts[0] ?? attachment.domain;
  const outbox = createComponentOutbox({ ...options, domain: attachment.domain, pingTo });
  const connections = attachment.nodes.map((node) => createConnection({ ...options, node, names, flow, outbox, pingTo }));

  function each(act: (connection: Connection) => void): void {
    connections.forEach(act);
  }

  const lifecycle = createLifecycle({
    start: async () => each((connection) => connection.open()),
    stop: async () => {
      each((connection) => connection.close());
      outbox.close();
    },
  });

  return {
    name: attachment.name,
    outbox,
    get uncommittedBytes() {
      return flow.uncommittedBytes;
    },
    resubscribe: (want) => each((connection) => connection.resubscribe(want)),
    ...lifecycle,
  };
}
