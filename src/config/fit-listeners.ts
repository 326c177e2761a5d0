import type { Attachment, Config } from './config.ts';

/** A configuration whose listeners leave half of the files that the process may have open to pools, chat servers and the spool. */
export interface Fitted {
  readonly config: Config;
  /** For the operator, where a listener holds fewer connections than `max_connections` says. */
  readonly notice: string | undefined;
}

/** Each listener has the same share. `openFiles`: the limit of the process; undefined where it is unknown. */
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
      ? `this process may have ${openFiles} files open, so each of its ${listeners} listeners holds ${share} connections at most; ` +
        'raise the limit (ulimit -n, LimitNOFILE) to let them hold what max_connections says'
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
