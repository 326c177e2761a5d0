import type { ComponentAttachment } from '../config/config.ts';
import type { Attachment } from '../config/service-config.ts';
import { ClientSource } from './client/client.ts';
import { type ComponentOptions, createComponentSource, pingAddress } from './component/component.ts';
import type { ConnectionOptions } from './component/connection.ts';
import { ComponentOutbox } from './component/outbox.ts';
import { createDirectFeed, createServiceLogFeed } from './component/unacknowledged-feeds.ts';
import { type ExitsOptions, ExitsSource } from './http/exits/exits.ts';
import { type HttpOptions, HttpSource } from './http/http.ts';
import { createOwnTraffic, type OwnTraffic } from './own-traffic.ts';
import type { Source } from './source.ts';

/** The options that all sources share, and those that only some of them need. */
export type SourceParts = Omit<ComponentOptions & ExitsOptions & HttpOptions, 'attachment' | 'createFeed' | 'outbox' | keyof OwnTraffic>;

/** One source for each attachment, in their order. */
export function openSources(attachments: readonly Attachment[], parts: SourceParts): readonly Source[] {
  const shared = { ...parts, ...createOwnTraffic(attachments, parts.readJid) };
  const opened = new Map<string, Source>();

  function open(attachment: Attachment): Source {
    switch (attachment.type) {
      case 'client':
        return new ClientSource({ ...shared, attachment });
      case 'component':
        return openComponent({ ...shared, attachment });
      case 'exits':
        return new ExitsSource({ ...shared, attachment, outbox: opened.get(attachment.sendThrough ?? '')?.outbox });
      case 'http':
        return new HttpSource({ ...shared, attachment });
      default:
        return attachment satisfies never;
    }
  }

  // Exits last: they send through others.
  for (const attachment of attachments) if (attachment.type !== 'exits') opened.set(attachment.name, open(attachment));
  return attachments.map((attachment) => opened.get(attachment.name) ?? open(attachment));
}

/** A component source with its outbox, and with the feed that its attachment names. */
export function openComponent(options: Omit<ComponentOptions, 'createFeed' | 'outbox'>): Source {
  const { attachment, readJid, timers } = options;
  const outbox = new ComponentOutbox({ domain: attachment.domain, pingTo: pingAddress(attachment), readJid, timers });
  return createComponentSource({ ...options, outbox, createFeed: feedOf(attachment) });
}

/** Undefined: the tap, which is the component's own feed. */
function feedOf({ feed }: ComponentAttachment): ConnectionOptions['createFeed'] {
  switch (feed) {
    case 'direct':
      return createDirectFeed;
    case 'service_log':
      return createServiceLogFeed;
    case 'tap':
      return undefined;
    default:
      return feed satisfies never;
  }
}
