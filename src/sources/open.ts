import type { Attachment } from '../config/config.ts';
import { createClientSource } from './client/client.ts';
import { type ComponentOptions, createComponentSource } from './component/component.ts';
import { createExitsSource, type ExitsOptions } from './http/exits/exits.ts';
import { createHttpSource, type HttpOptions } from './http/http.ts';
import { createOwnTraffic, type OwnTraffic } from './own-traffic.ts';
import type { Source } from './source.ts';

/** What all sources share, and what only some of them need. */
export type SourceParts = Omit<ComponentOptions & ExitsOptions & HttpOptions, 'attachment' | 'outbox' | keyof OwnTraffic>;

/** One source for each attachment, in their order. */
export function openSources(attachments: readonly Attachment[], parts: SourceParts): readonly Source[] {
  const shared = { ...parts, ...createOwnTraffic(attachments, parts.readJid) };
  const opened = new Map<string, Source>();

  function open(attachment: Attachment): Source {
    switch (attachment.type) {
      case 'client':
        return createClientSource({ ...shared, attachment });
      case 'component':
        return createComponentSource({ ...shared, attachment });
      case 'exits':
        return createExitsSource({ ...shared, attachment, outbox: opened.get(attachment.sendThrough ?? '')?.outbox });
      case 'http':
        return createHttpSource({ ...shared, attachment });
      default:
        return attachment satisfies never;
    }
  }

  // Exits last: they send through others.
  for (const attachment of attachments) if (attachment.type !== 'exits') opened.set(attachment.name, open(attachment));
  return attachments.map((attachment) => opened.get(attachment.name) ?? open(attachment));
}
