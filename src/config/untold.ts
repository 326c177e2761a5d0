import type { Attachment, Config, HandlerConfig } from './config.ts';

const reports: ReadonlySet<string> = new Set(['status', 'unack']);

/** The handlers that wait for what no attachment of their hosts can tell: one notice each. */
export function untoldEvents({ attachments, handlers }: Pick<Config, 'attachments' | 'handlers'>): readonly string[] {
  const told = new Set(attachments.filter(isTap).flatMap(({ hosts }) => hosts));
  return handlers.flatMap((handler) => {
    const wanted = reportsOf(handler);
    if (wanted.length === 0 || attachments.length === 0 || handler.hosts.some((host) => told.has(host))) return [];
    return [`handler ${handler.name} waits for ${wanted.join(' and ')}: only a tap tells that, and its hosts are attached without one`];
  });
}

function isTap(attachment: Attachment): boolean {
  return attachment.type === 'component' && attachment.feed === 'tap';
}

function reportsOf({ when }: HandlerConfig): readonly string[] {
  const named = when?.event ?? when?.kind ?? [];
  return [...new Set(named)].filter((name) => reports.has(name));
}
