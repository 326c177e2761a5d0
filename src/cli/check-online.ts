/** `check --online`: connects to each chat server and each backend, without sending anything that a user or backend would notice. */
import { createServer } from 'node:net';
import { z } from 'zod';
import type { ComponentAttachment } from '../config/config.ts';
import { createMask } from '../config/secrets.ts';
import type { Attachment, Config } from '../config/service-config.ts';
import { systemClock, systemTimers } from '../kit/clock.ts';
import { dialTcp } from '../kit/dial-tcp.ts';
import { readJson } from '../kit/json.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import { ComponentStream } from '../sources/component/stream.ts';
import { readinessAt } from './admin-client.ts';
import { adviceAboutDatabase, type Finding, type Probe, probe, probeTimeoutMs } from './probe.ts';
import { probeBackends } from './probe-backends.ts';

/**
 * All probes, in the order of the configuration. The attachments of a service that runs at the admin address are not connected again, because
 * its chat server would take the second connection for another pusher: the service reports their states.
 */
export async function probeAll(config: Config): Promise<readonly Probe[]> {
  const running = await readinessOf(config.admin);
  const attachments = running ?? config.attachments.flatMap(probesOf);
  const mask = createMask(config.redacted);
  return Promise.all([...attachments, ...probeBackends(config), ...probeSpool(config)].map(async (probe) => masked(await probe, mask)));
}

/** Loads the driver of PostgreSQL, which files do not need. */
function probeSpool({ spool: { postgres } }: Config): readonly Promise<Probe>[] {
  if (postgres === undefined) return [];
  const finding = import('../spool/postgres/inspect.ts').then(({ tryDatabase }) => tryDatabase(postgres));
  return [probe('the spool in PostgreSQL', finding, adviceAboutDatabase)];
}

const readiness = z.object({ checks: z.array(z.object({ name: z.string(), ready: z.boolean(), reason: z.string() })) });

/** The states of the attachments of the service that runs at this address; undefined if none does. */
async function readinessOf(listen: Parameters<typeof readinessAt>[0]): Promise<readonly Probe[] | undefined> {
  if (listen.port === 0) return undefined;
  const answer = readJson(await readinessAt(listen).catch(() => '')); // nothing answers, or another program
  const read = readiness.safeParse(answer.kind === 'read' ? answer.value : undefined);
  if (!read.success) return undefined;
  const attachments = read.data.checks.filter(({ name }) => name.startsWith('attachment ') || name === 'service');
  return attachments.map(({ name, ready, reason }) => ({
    name: `${name}, of the running service`,
    ok: ready,
    detail: ready ? 'attached' : reason,
  }));
}

function masked({ name, ok, detail }: Probe, mask: (text: string) => string): Probe {
  return { name: mask(name), ok, detail: mask(detail) };
}

function probesOf(attachment: Attachment): readonly Promise<Probe>[] {
  switch (attachment.type) {
    case 'client': {
      const { host, port } = attachment.service;
      return [probe(`attachment ${attachment.name} at ${host}:${port}`, probePort({ host, port }))];
    }
    case 'component':
      return attachment.nodes.map((node) => probe(`attachment ${attachment.name} at ${node.name}`, probeComponent(attachment, node)));
    case 'exits':
      return attachment.listeners.map((listener) =>
        probe(`attachment ${attachment.name}, listener ${listener.name}`, probeListen(listener)),
      );
    case 'http':
      return [probe(`attachment ${attachment.name}`, probeListen(attachment.listen))];
    default:
      return attachment satisfies never;
  }
}

/** The handshake of the component; its feed is not requested. */
function probeComponent(
  { domain, secret, hosts, ...attachment }: ComponentAttachment,
  node: ComponentAttachment['nodes'][number],
): Finding {
  const found = createDeferred<string>();
  const stream = new ComponentStream(
    {
      ...attachment,
      service: node,
      domain,
      secret,
      pingTo: hosts[0] ?? domain,
      connectTimeoutMs: probeTimeoutMs,
      clock: systemClock,
      timers: systemTimers,
    },
    {
      onUp: () => found.resolve(`the server accepts the component ${domain}; its hosts and feed are not tried`),
      onStanza: () => undefined,
      onUnreadable: () => undefined,
      onRead: () => undefined,
      onEnd: ({ kind, reason }) => {
        if (kind === 'occupied') found.resolve(`another process is attached as ${domain}; this one would stand by`);
        else found.reject(new Error(reason));
      },
    },
  );
  return found.promise.finally(() => stream.close());
}

/** An account is not logged in: its server would send it the messages that wait. */
function probePort(endpoint: { readonly host: string; readonly port: number }): Finding {
  const found = createDeferred<string>();
  dialTcp(endpoint, (error, socket) => {
    socket?.destroy();
    if (error === undefined) found.resolve('the port answers; the login is not tried');
    else found.reject(error);
  });
  return found.promise;
}

function probeListen({ host, port }: { readonly host: string; readonly port: number }): Finding {
  const found = createDeferred<string>();
  const server = createServer()
    .once('error', found.reject)
    .listen({ host, port }, () => server.close(() => found.resolve(`${host}:${port} is free`)));
  return found.promise;
}
