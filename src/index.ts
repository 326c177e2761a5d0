/** For programs that embed the service; the command line needs none of this. */
export type { Acc, Body, Direction, HandlerOpts, HeaderPair, Jid, Kind, Outcome, PacketEvent, Stanza } from '../pools/contract.ts';
export type { Config } from './config/config.ts';
export { loadConfig } from './config/load.ts';
export { ConfigInvalid, type Mistake } from './config/mistakes.ts';
export type { CallbackWatch } from './hooks/watch.ts';
export { type ErrorCode, errorCodes, ServiceError } from './kit/errors.ts';
export { createService, type Service, type ServiceOptions } from './service.ts';
export type { EventBus, EventName, Events } from './telemetry/events.ts';
