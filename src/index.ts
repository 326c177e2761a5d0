/** API for programs that embed the service. */

export type { HandlerOpts } from '../pools/accept-callbacks.ts';
export { loadConfig } from './config/load.ts';
export { ConfigInvalid, type Mistake } from './config/mistakes.ts';
export type { Config } from './config/service-config.ts';
export type { CallbackWatch } from './hooks/call.ts';
export { type ErrorCode, errorCodes, ServiceError } from './kit/errors.ts';
export type { Outcome } from './model/attempt.ts';
export type { Body, HeaderPair } from './model/delivery.ts';
export type { Acc, Direction, Jid, Kind, PacketEvent, Stanza } from './model/packet.ts';
export { createService, type Service, type ServiceOptions } from './service.ts';
export type { EventBus, EventName, Events } from './telemetry/events.ts';
