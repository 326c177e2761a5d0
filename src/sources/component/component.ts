import type { ComponentAttachment } from '../../config/config.ts';
import { createLifecycle, type Lifecycle } from '../../kit/lifecycle.ts';
import type { Accept } from '../../model/packet.ts';
import { Flow, type Source } from '../source.ts';
import { type ConnectionOptions, NodeConnection, NodeNames } from './connection.ts';

export interface ComponentOptions extends Omit<ConnectionOptions, 'flow' | 'node' | 'nodeNames' | 'pingTo'> {
  readonly accept: Accept;
}

/**
 * A component (XEP-0114) of one chat server: one connection to each of its nodes. The connections share the limit of
 * uncommitted bytes and the outbox.
 */
export function createComponentSource(options: ComponentOptions): Source {
  const { attachment, accept, outbox } = options;
  const flow = new Flow(accept, {
    maxBytes: attachment.maxUncommittedBytes,
    onStop: () => each((connection) => connection.pause()),
    onResume: () => each((connection) => connection.resume()),
  });
  const shared = { ...options, nodeNames: new NodeNames(), flow, pingTo: pingAddress(attachment) };
  const connections = attachment.nodes.map((node) => new NodeConnection({ ...shared, node }));

  function each(act: (connection: NodeConnection) => void): void {
    connections.forEach(act);
  }

  const lifecycle: Lifecycle = createLifecycle({
    start: async () => each((connection) => connection.open()),
    stop: async () => {
      each((connection) => connection.close());
      outbox?.close();
    },
  });

  return {
    name: attachment.name,
    ...(outbox === undefined ? {} : { outbox }),
    get uncommittedBytes() {
      return flow.uncommittedBytes;
    },
    resubscribe: (subscription) => each((connection) => connection.resubscribe(subscription)),
    ...lifecycle,
  };
}

/** A host of the chat server, which answers the component's pings. */
export function pingAddress({ hosts, domain }: Pick<ComponentAttachment, 'domain' | 'hosts'>): string {
  return hosts[0] ?? domain;
}
