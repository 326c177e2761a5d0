import type { Attachment } from '../config/config.ts';
import { createClientSource } from './client/client.ts';
import { type ComponentOptions, createComponentSource } from './component/component.ts';
import { createHttpSource } from './http/http.ts';
import type { Source } from './source.ts';

/** One source for each attachment. */
export function openSources(attachments: readonly Attachment[], shared: Omit<ComponentOptions, 'attachment'>): readonly Source[] {
  return attachments.map((attachment) => open(attachment, shared));
}

function open(attachment: Attachment, shared: Omit<ComponentOptions, 'attachment'>): Source {
  switch (attachment.type) {
    case 'client':
      return createClientSource({ ...shared, attachment });
    case 'component':
      return createComponentSource({ ...shared, attachment });
    case 'http':
      return createHttpSource({ ...shared, attachment });
    default:
      return attachment satisfies never;
  }
}
