import type { ComponentAttachment } from '../config/config.ts';
import { type ComponentOptions, createComponentSource } from './component/component.ts';
import type { Source } from './source.ts';

/** One source for each attachment. */
export function openSources(attachments: readonly ComponentAttachment[], shared: Omit<ComponentOptions, 'attachment'>): readonly Source[] {
  return attachments.map((attachment) => createComponentSource({ ...shared, attachment }));
}
