/**
 * The API for callback modules and exits: `xmpp-event-pusher/callbacks`. It imports nothing from outside this folder when it
 * runs, so a module outside any `node_modules` can import it too.
 */
export * from './callbacks.ts';
export type {
  Bytes,
  ExitMsgInfo,
  HttpExit,
  HttpExitPar,
  HttpInfo,
  HttpRequestParts,
  ProgramUnit,
  ProgramUnitCall,
  UnitAcc,
} from './exits.ts';
