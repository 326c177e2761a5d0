import { domainOf } from '../own-traffic.ts';
import type { Feed } from './feed.ts';
import type { FeedOptions } from './feed-options.ts';
import { reasonToSkip } from './skip.ts';

/**
 * The feed of a bot: what is addressed to the component itself. From a local user it is `in`, from anybody else `out` on
 * the attachment's first host. At most once.
 */
export function createDirectFeed(options: FeedOptions): Feed {
  const { attachment } = options;
  const [firstHost = ''] = attachment.hosts;
  let serial = 0;

  return {
    attached: () => {
      for (const host of attachment.hosts) options.tell(host, 'attached');
    },
    detached: () => undefined,
    resubscribe: () => undefined,
    unreadable: ({ reason }) => options.skip(reason),
    received: (stanza, bytes) => {
      if (stanza.name === 'iq') return options.strange(stanza);
      if (stanza.name !== 'message' && stanza.name !== 'presence') return options.skip('malformed');
      const reason = reasonToSkip(stanza, { domain: attachment.domain, receives: true, isOwn: options.isOwn });
      if (reason !== undefined) return options.skip(reason);

      serial += 1;
      const senderHost = domainOf(stanza.attrs['from']);
      const local = attachment.hosts.includes(senderHost);
      const packet = options.toPacket({
        stanza,
        direction: local ? 'in' : 'out',
        host: local ? senderHost : firstHost,
        session: local ? stanza.attrs['from'] : undefined,
        bytes,
        key: `${attachment.name}/${serial}`,
      });
      options.flow.hand(packet, { stream: attachment.name, mark: undefined, committed: () => options.flow.landed(bytes) }, bytes);
    },
  };
}
