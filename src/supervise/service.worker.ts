/** Entry of the service thread: loads the configuration, starts the service, and exchanges messages with the supervisor. */
import { parentPort, workerData } from 'node:worker_threads';
import { readEnvironment } from '../config/environment.ts';
import { loadConfig } from '../config/load.ts';
import { Redactor } from '../config/secrets.ts';
import type { Attachment, Config } from '../config/service-config.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import { createService, type ReloadResult, type Service } from '../service.ts';
import { SharedWatch } from './shared-watch.ts';
import type { FromServiceThread, ServiceThreadData, ToServiceThread } from './supervisor.ts';

const data: ServiceThreadData = workerData;
const watch = new SharedWatch(data.watchMemory, data.strikes);
const post = (message: FromServiceThread) => parentPort?.postMessage(message);
const redactor = new Redactor([]);
const fail = (thrown: unknown) => {
  const error = toError(thrown);
  post({ kind: 'failed', code: error instanceof ServiceError ? error.code : undefined, message: redactor.text(error.message) });
};
const configured = ({ handlers, attachments, callbacks, logLevel, redacted, admin: { host, port, tls } }: Config) => {
  redactor.add(redacted);
  const names = watch.addHandlers([...handlers.map((handler) => handler.name), ...attachments.flatMap(exitNames)]);
  post({ kind: 'configured', handlers: names, blockTimeoutMs: callbacks.blockTimeoutMs, logLevel, admin: { host, port, tls: tls?.pem } });
};
/** The watchdog's names of exits and program units. */
const exitNames = (attachment: Attachment) =>
  attachment.type === 'exits' ? attachment.descriptors.map((descriptor) => `${attachment.name}/${descriptor.name}`) : [];
const onReloaded = (result: ReloadResult) => post({ kind: 'reloaded', result });
const mayListen = createDeferred<void>();
const beforeListening = () => {
  post({ kind: 'listening' });
  return mayListen.promise;
};
const obey = ({ kind }: ToServiceThread, service: Service) => {
  if (kind === 'listen') return mayListen.resolve();
  if (kind === 'ping') return post({ kind: 'pong' });
  if (kind === 'stop') return service.stop().finally(() => process.exit(0));
  return service.reload().then(() => undefined, fail);
};

try {
  const config = await loadConfig(data.file, readEnvironment());
  configured(config);
  const { instance, reloads, checkSpool } = data;
  const options = { instance, watch, reloads, checkSpool, beforeListening, onConfigured: configured, onFailed: fail, onReloaded };
  const service = createService(config, options);
  parentPort?.on('message', (message: ToServiceThread) => void obey(message, service));
  process.on('unhandledRejection', (reason) => service.events.emit('rejection.stray', { error: toError(reason) }));
  await service.start();
  post({ kind: 'started' });
} catch (thrown) {
  fail(thrown);
}
