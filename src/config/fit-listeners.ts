import type { Attachment, Config } from './config.ts';

/** A configuration whose listeners leave half of the open-file limit to pools, chat servers and the spool. */
export interface Fitted {
  readonly config: Config;
  /** Notices for listeners that hold fewer connections than `max_connections`. */
  readonly notice: string | undefined;
}

/** Divides half of the limit equally among the listeners. `openFiles`: the limit of the process; undefined if unknown. */
export function fitListeners(config: Config, openFiles: number | undefined): Fitted {
  const { admin, gate, attachments } = config;
  const listeners = 1 + (gate === undefined ? 0 : 1) + attachments.reduce((sum, attachment) => sum + listenersOf(attachment), 0);
  const share = Math.max(1, Math.floor((openFiles ?? Number.POSITIVE_INFINITY) / 2 / listeners));
  const held = <T extends { readonly maxConnections: number }>(one: T): T => ({
    ...one,
    maxConnections: Math.min(one.maxConnections, share),
  });
  const isCut = [admin, ...(gate === undefined ? [] : [gate]), ...attachments].some(
    (one) => 'maxConnections' in one && one.maxConnections > share,
  );

  return {
    config: {
      ...config,
      admin: held(admin),
      gate: gate && held(gate),
      attachments: attachments.map((attachment) => ('maxConnections' in attachment ? held(attachment) : attachment)),
    },
    notice: isCut
      ? `this process may have ${openFiles} open files, so each of its ${listeners} listeners accepts at most ${share} connections; ` +
        'raise the limit (ulimit -n, LimitNOFILE) to reach max_connections'
      : undefined,
  };
}

function listenersOf(attachment: Attachment): number {
  switch (attachment.type) {
    case 'client':
    case 'component':
      return 0;
    case 'exits':
      return attachment.listeners.length;
    case 'http':
      return 1;
    default:
      return attachment satisfies never;
  }
}
