import { resolve } from 'node:path';
import type { Config, GateConfig, ListenConfig, SpoolConfig } from './config.ts';
import { isLoopback } from './loopback.ts';
import type { Reading } from './reading.ts';
import { adminSchema, callbacksSchema, gateSchema, metricsSchema, serviceSchema, spoolSchema } from './schema/service.ts';
import type { Table } from './table.ts';

type ServiceSections = Pick<Config, 'admin' | 'callbacks' | 'drainTimeoutMs' | 'gate' | 'metrics' | 'spool'>;

/** Reads the sections about the service itself; undefined when one of them has mistakes, all of which are reported. */
export function readService(file: Table, reading: Reading): ServiceSections | undefined {
  const callbacks = reading.read(callbacksSchema, file['callbacks'] ?? {}, ['callbacks']);
  const spool = readSpool(file['spool'] ?? {}, reading);
  const admin = readAdmin(file['admin'] ?? {}, reading);
  const gate = readGate(file['gate'], reading);
  const metrics = reading.read(metricsSchema, file['metrics'] ?? {}, ['metrics']);
  const service = reading.read(serviceSchema, file['service'] ?? {}, ['service']);

  if (!callbacks || !spool || !admin || !metrics || !service) return undefined;
  return {
    callbacks: { timeoutMs: callbacks.timeout, blockTimeoutMs: callbacks.block_timeout },
    spool,
    admin,
    gate,
    metrics: { mongooseim: metrics.mongooseim, token: metrics.token },
    drainTimeoutMs: service.drain_timeout,
  };
}

/** Reads `[spool]`. */
export function readSpool(value: unknown, reading: Reading): SpoolConfig | undefined {
  const spool = reading.read(spoolSchema, value, ['spool']);
  return (
    spool && {
      engine: spool.engine,
      path: resolve(reading.folder, spool.path),
      maxBytes: spool.max_bytes,
      minFreeBytes: spool.min_free,
      deadLetterMaxAgeMs: spool.dead_letter_max_age,
      deadLetterMax: spool.dead_letter_max,
    }
  );
}

/** Reads `[admin]`: what is not reachable from this machine alone needs a token. */
export function readAdmin(value: unknown, reading: Reading): ListenConfig | undefined {
  const admin = reading.read(adminSchema, value, ['admin']);
  if (admin === undefined) return undefined;

  const { host, port } = admin.listen;
  if (!isLoopback(host) && admin.token === undefined) {
    reading.mistake(['admin', 'token'], { expected: `a token, since admin.listen (${host}) is reachable from other machines` });
  }
  return { host, port, token: admin.token, maxConnections: admin.max_connections };
}

/** Reads `[gate]`; without that section there is none. Who can ask learns what is refused, so it needs a token as `[admin]` does. */
function readGate(value: unknown, reading: Reading): GateConfig | undefined {
  const gate = value === undefined ? undefined : reading.read(gateSchema, value, ['gate']);
  if (gate === undefined) return undefined;

  const { listen, token } = gate;
  if (!isLoopback(listen.host) && token === undefined) {
    reading.mistake(['gate', 'token'], { expected: `a token, since gate.listen (${listen.host}) is reachable from other machines` });
  }
  return { listen, token, timeoutMs: gate.timeout, maxBodyBytes: gate.max_body_bytes, maxConnections: gate.max_connections };
}
